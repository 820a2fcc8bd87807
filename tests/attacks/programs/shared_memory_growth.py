# Grows in shared anonymous memory, which some accounts leave out.
import mmap

blocks = []
while True:
    block = mmap.mmap(-1, 16 << 20)
    block.write(b"x" * (16 << 20))
    blocks.append(block)
