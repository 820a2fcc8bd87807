# Folds to a giant constant while it is compiled, and is a giant when run.
x = ((((1 << 62) ** 60) ** 60) ** 9,) * 3
s = ("ab" * 4000) * 4000 * 100
print("PWNED", len(s))
