# Blocks and ignores every signal it can, then burns CPU in the handlers of its own timers.
import signal
import threading


def again(*arguments):
    while True:
        pass


for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
threading.Thread(target=again).start()
again()
