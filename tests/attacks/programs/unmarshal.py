# Feeds the unmarshaller and the evaluator with nonsense.
import marshal
import types

code = compile("1", "x", "eval")
for opcodes in (b"\x64\xff" * 8, bytes(range(256)), b"\x99\x00" * 64):
    try:
        exec(code.replace(co_code=opcodes, co_stacksize=1))
    except BaseException as error:
        print(type(error).__name__, flush=True)
marshal.loads(b"\xe3" + b"\xff" * 64)
