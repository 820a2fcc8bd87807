# Every family and type of socket, and what a socket pair might be bent to.
import array
import ctypes
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
for family in range(46):
    for kind in (1, 2, 3, 5):
        if libc.socket(family, kind, 0) >= 0:
            print("PWNED socket", family, kind)
for family, kind in ((1, 2), (1, 5), (2, 1)):
    pair = (ctypes.c_int * 2)()
    print("PWNED" if libc.socketpair(family, kind, 0, pair) >= 0 else "refused", family, kind)
left, right = socket.socketpair()


def attempt(name, action):
    try:
        action()
    except (OSError, AttributeError) as error:
        print("refused", name, error)
    else:
        print("PWNED", name)


attempt("bind", lambda: left.bind("\0escape"))
attempt("connect", lambda: left.connect("@CANARYDIR@/socket"))
attempt("listen", left.listen)
attempt("accept", left.accept)
attempt("pass a descriptor", lambda: left.sendmsg([b"x"], [(1, 1, array.array("i", [0]))]))
attempt("sendto", lambda: left.sendto(b"x", "@CANARYDIR@/socket"))
attempt("credentials", lambda: left.setsockopt(1, 16, 1))
os.write(1, b"")
