# Prints, ends, and never lets go: a thread the interpreter waits for.
import threading
import time

threading.Thread(target=time.sleep, args=(10**6,)).start()
print(12, flush=True)
