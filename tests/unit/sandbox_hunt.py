"""A program that looks for a secret in all that it can reach, and where to put one for it to find."""

HUNT = r"""
import errno, gc, os, re, select, sys, types

SECRET = re.compile("TERCESPOT"[::-1] + r"\d+")  # nothing here looks like a secret itself

def texts():
    for descriptor in range(256):
        yield read(descriptor).decode("latin-1")
    gc.unfreeze()  # the interpreter hides what it had before the program
    frames = [sys._getframe()]
    while frames[-1].f_back:
        frames.append(frames[-1].f_back)
    todo = [*frames, *(frame.f_locals for frame in frames), sys.modules, *gc.get_objects()]
    seen = {id(todo)}
    kept = []  # so that no identity comes twice
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        kept.append(thing)
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, (bytes, bytearray)):
            yield thing.decode("latin-1")
        elif isinstance(thing, types.CodeType):
            todo += thing.co_consts
        elif thing is not kept:
            todo += gc.get_referents(thing)

def read(descriptor):
    try:
        return os.pread(descriptor, 1 << 20, 0)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            return b""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return os.read(descriptor, 1 << 20) if waiting.poll(0) else b""

print(next((found[0] for text in texts() if (found := SECRET.search(text))), "nothing"))
"""

_SECRET = '("TOP" + "SECRET" + str(len("1")))'
# where: (what the program does before the hunt, its input)
PLANTS = {
    "module": (f"import heapq\nheapq.left = {_SECRET}\n", ""),
    "frame": (f"def inner():\n    mine = {_SECRET}\n    yield\nkept = inner()\nnext(kept)\n", ""),
    "container": (f"lost = [{_SECRET}.encode()]\nlost.append(lost)\ndel lost\n", ""),
    "constant": (f"code = compile('def f(): return ' + repr({_SECRET}), 'x', 'exec')\n", ""),
    "environment": (f"import os\nos.environ['LEFT'] = {_SECRET}\n", ""),
    "file": ("", "TOPSECRET1\n"),
    "pipe": (f"import os\n_, end = os.pipe()\nos.write(end, {_SECRET}.encode())\n", ""),
}
