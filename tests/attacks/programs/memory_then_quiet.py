# Peaks far over the limit for a moment, frees everything and ends well.
a = bytearray(b"x") * (600 << 20)
del a
print(12)
