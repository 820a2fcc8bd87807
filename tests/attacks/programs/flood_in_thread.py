# Floods both outputs from threads and never ends by itself.
import os
import threading


def flood(number):
    while True:
        try:
            os.write(number, b"x" * 65536)
        except OSError:
            pass


for number in (1, 2):
    threading.Thread(target=flood, args=(number,), daemon=True).start()
flood(1)
