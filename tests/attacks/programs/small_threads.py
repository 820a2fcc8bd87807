# Threads with the smallest stacks there are.
import threading
import time

threading.stack_size(32 << 10)
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except (RuntimeError, MemoryError) as error:
    print("PWNED" if count > 4000 else "bounded", count, error, flush=True)
import os

os._exit(0)
