r"""Answers that a model may give, or learn to give, to hang, crash or fool a verifier.

Each is a whole completion, the reference it is compared with, and the verdicts it may get. What no
verifier can settle within its processor time and memory must be `timeout`: `incorrect` would be a
lie.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MARK = Path(tempfile.gettempdir()) / f"openrs-a-hostile-answer-was-here-{os.getpid()}"
"""What an answer would create if it were run as code."""

UNKNOWN = ("timeout",)
WRONG = ("incorrect", "no_answer")
NOT_RIGHT = (*UNKNOWN, *WRONG)


@dataclass(frozen=True, slots=True)
class Hostile:
    """One of them."""

    name: str
    text: str
    reference: str
    allowed: tuple[str, ...]


def tower(base: str, height: int) -> str:
    """base^{base^{...}}"""
    return f"{base}^{{" * height + base + "}" * height


def left_tower(base: str, height: int) -> str:
    r"""base^{\left(base^{...}\right)}, the form of Math-Verify's issue 65."""
    return f"{base}^{{\\left(" * height + base + "\\right)}" * height


def radicals(last: int) -> str:
    """A set of nested radicals."""
    inner = (f"\\sqrt{{{n}+\\sqrt{{{n + 1}+\\sqrt{{{n + last}}}}}}}" for n in range(30))
    return f"\\{{{','.join(inner)}\\}}"


def determinant(size: int) -> str:
    """Of as many symbols."""
    rows = ("&".join(f"x_{{{i}{j}}}" for j in range(size)) for i in range(size))
    return "\\det\\begin{pmatrix}" + "\\\\".join(rows) + "\\end{pmatrix}"


FORMULA = "\\sqrt{50}"

# --- too large, too slow: the answers, compared with a formula --------------------------------
ENDLESS = {
    "Math-Verify issue 65": f"\\dfrac{{{left_tower('5', 6)}}}{{16}}",
    "Math-Verify issue 65, higher": f"\\dfrac{{{left_tower('5', 20)}}}{{16}}",
    "tower of nines": tower("9", 3),
    "low tower of nines": tower("9", 2),
    "tower of forty twos": tower("2", 40),
    "tower of e": tower("e", 5),
    "tower of x": tower("x", 60),
    "ten to a hundred million": "10^{100000000}",
    "ten to ten billion": "10^{10^{10}}",
    "almost nothing": "10^{-10^{10}}",
    "scientific": "1.5 \\times 10^{10^{12}}",
    "factorial of ten million": "10000000!",
    "factorial of a factorial": "((10!)!)!",
    "many factorials": "9!!!!",
    "more factorials": "99!!!!!!",
    "binomial": "\\binom{1000000}{500000}",
    "huge binomial": "\\binom{10^{12}}{10^{11}}",
    "sum of a billion": "\\sum_{k=1}^{10^9} \\frac{1}{k^2}",
    "sum of factorials": "\\sum_{k=1}^{10^{12}} k!",
    "sum of sums": "\\sum_{a=1}^{10^4}\\sum_{b=1}^{10^4}\\sum_{c=1}^{10^4} \\frac{a}{b+c}",
    "product of a million": "\\prod_{k=1}^{10^6} (k+\\frac{1}{k})",
    "logarithm": "\\log_2 3^{10^{12}}",
    "ceiling of a logarithm": "\\lceil \\log_{10} 2^{10^9} \\rceil",
    "digits of pi": "\\lfloor 10^{10^7} \\pi \\rfloor",
    "sine of a million digits": "\\sin(10^{1000000})",
    "remainder of a tower": "7^{7^{7^7}} \\mod 10",
    "gamma": "\\Gamma(10^{7}+\\frac12)",
    "complex power": "(1+i)^{10^8}",
    "equation with a tower": "x=10^{10^{10}}",
    "determinant of symbols": determinant(8),
    "nine hundred brackets": "(" * 900 + "1" + ")" * 900,
    "three hundred indices": "x" + "_{1" * 300 + "}" * 300,
}

# --- answer and reference of one kind ----------------------------------------------------------
ENDLESS_PAIRS = {
    "towers that differ at the top": ("9^{9^{9^{9}}}", "9^{9^{9^{8}}}"),
    "an expansion": ("(a+b+c+d+e)^{100}", "(a+b+c+d)^{100}"),
    "a longer expansion": ("(a+b+c+d+e+f+g+h)^{60}", "(a+b+c+d+e+f+g)^{60}+1"),
    "gmpy's endless comparison": ("2^{10^6}", "4^{5\\cdot10^5}"),
    "gmpy's abort": ("1.5", "2^{2^{2^{2^{2^{2.5}}}}}"),
    "gmpy's abort, the other way": ("2^{2^{2^{2^{2^{2.5}}}}}", "\\sqrt{1.5}"),
    "intervals": ("[10^{10^9},10^{10^{10}}]", "[1,\\sqrt{5}]"),
    "a reference that is a tower": ("7", tower("9", 3)),
}

# --- slow, but perhaps not too slow ------------------------------------------------------------
HEAVY_PAIRS = {
    "polynomial equation": ("x^{20}+3x^{19}+\\sin(x)=e^x+7", "x=7"),
    "trigonometric equation": ("\\sin(\\cos(\\tan(x)))=\\cos(\\sin(\\tan(x^2)))", "x=7"),
    "radicals": (radicals(2), radicals(3)),
    "an integral": (
        "\\int_0^1 \\frac{\\sin(x^x)\\ln(1+x^x)}{\\sqrt{1+x^{x}}} dx",
        FORMULA,
    ),
    "an improper integral": ("\\int_0^{\\infty} e^{-x^{x^x}} \\cos(x^{7}) dx", FORMULA),
    "a limit": ("\\lim_{n\\to\\infty} \\frac{n!}{n^n e^{-n}\\sqrt{n}}", FORMULA),
    "a union": (
        "(-\\infty,-\\sqrt{x^2+1})\\cup(\\sqrt{7^{7^7}},\\infty)",
        "(-\\infty,-1)\\cup(1,\\infty)",
    ),
    "cube roots of a tower": ("\\sqrt[3]{\\sqrt[3]{\\sqrt[3]{10^{10^8}}}}", FORMULA),
    "root of a billion": ("\\sqrt[10^9]{2^{10^9}}", FORMULA),
    "minus signs": ("-" * 1900 + "7", "7"),
    "a large set": (
        f"\\{{{','.join(map(str, range(480)))}\\}}",
        f"\\{{{','.join(map(str, range(1, 481)))}\\}}",
    ),
    "a large matrix": (
        "\\begin{pmatrix}" + "\\\\".join(["&".join(["1"] * 20)] * 40) + "\\end{pmatrix}",
        FORMULA,
    ),
    "a power of a matrix": ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{1000000}", FORMULA),
    "many symbols": ("+".join(f"x_{{{n}}}" for n in range(250)), "y"),
    "a greatest common divisor": ("\\gcd(2^{100000}-1,3^{60000}-1)", FORMULA),
    "nested fractions": ("\\frac{1}{1+" * 150 + "1" + "}" * 150, FORMULA),
    "nested roots": ("\\sqrt{" * 280 + "2" + "}" * 280, FORMULA),
    "nested bars": ("|" * 500 + "1" + "|" * 500, FORMULA),
    "many open brackets": ("\\left(" * 300, FORMULA),
    "a chain of equations": ("=".join(["x"] * 700), FORMULA),
    "a chain of inequalities": ("<".join(["x"] * 700), FORMULA),
    "many ones": ("1 " * 950, "7"),
    "many centimetres": ("7" + "cm" * 900, "7"),
}

# --- neither large nor slow, but odd -----------------------------------------------------------
ODD = {
    "digits": "7" * 1900,
    "decimals": "0." + "3" * 1900,
    "ones": "1 " * 150,
    "centimetres": "7" + "cm" * 60,
    "open brackets": "\\left(" * 100,
    "open displays": "\\[" * 900,
    "dollars": "$" * 1900,
    "primes": "f" + "'" * 900 + "(x)",
    "commas": "7" + "," * 900,
    "a null byte": "8\0",
    "null bytes": "\0" * 500,
    "lone surrogates": "\ud800\udfff8",
    "right to left": "\u202e8\u202c \u0668",
    "combining marks": "8" + "\u0301" * 1000,
    "full width": "\uff18",
    "pictures": "\U0001f9ee" * 400,
    "a file to read": "\\input{/etc/passwd}",
    "a file to write": f"\\immediate\\write18{{touch {MARK}}}",
    "a macro of itself": "\\def\\a{\\a\\a}\\a",
    "a command of itself": "\\newcommand{\\x}{\\x\\x}\\x",
    "an import": f"__import__('os').system('touch {MARK}')",
    "an import as text": f"\\text{{__import__('os').system('touch {MARK}')}}",
    "an import as a function": f"\\operatorname{{__import__('os').system('touch {MARK}')}}",
    "open": f"open('{MARK}','w').write('x')",
    "a lambda": f"(lambda: open('{MARK}','w'))()",
    "exit": "exit(0)",
    "division by zero": "\\frac{1}{0}",
    "nothing times everything": "0\\cdot\\infty",
    "not a number": "\\text{nan}",
}

# --- whole completions -------------------------------------------------------------------------
MEGABYTE = 1 << 20
WHOLE = {
    "a megabyte of thought": "<think>" + "so 8, " * (MEGABYTE // 6),
    "a megabyte of answers": "\\boxed{8}" * (MEGABYTE // 9),
    "a megabyte of open boxes": "<think></think>" + "\\boxed{" * (MEGABYTE // 7),
    "a megabyte of closed thoughts": "</think>" * (MEGABYTE // 8),
    "a megabyte of open thoughts": "<think>" * (MEGABYTE // 7) + "\\boxed{8}",
    "a megabyte of braces": "\\boxed{" + "{" * MEGABYTE,
    "a megabyte of backslashes": "\\boxed{" + "\\" * MEGABYTE + "}",
    "a hundred thousand digits": "\\boxed{" + "7" * 100_000 + "}",
    "three thousand brackets": "\\boxed{" + "(" * 3000 + "1" + ")" * 3000 + "}",
    "three thousand fractions": "\\boxed{" + "\\frac{1}{" * 3000 + "1" + "}" * 3002,
    "fifty thousand ones": "\\boxed{" + "1 " * 50_000 + "}",
    "fifty thousand displays": "\\boxed{" + "\\[" * 50_000 + "}",
    "twenty thousand centimetres": "\\boxed{" + "cm " * 20_000 + "}",
    "two thousand elements": "\\boxed{\\{" + ",".join(map(str, range(2000))) + "\\}}",
    "no brace that closes": "\\boxed{" + "{" * 900 + "8",
    "an import without a box": f"__import__('os').system('touch {MARK}')",
    "nothing": "",
}

EQUAL = {
    "a megabyte of thought, and the answer": (
        "<think>" + "so 7, " * (MEGABYTE // 6) + "</think>\\boxed{7}",
        "7",
    ),
    "a tower, letter by letter": (f"\\boxed{{{tower('9', 3)}}}", tower("9", 3)),
    "infinity": ("\\boxed{\\infty}", "\\infty "),
    "ten thousand wrong boxes, then the right one": ("\\boxed{8}" * 10_000 + "\\boxed{7}", "7"),
}


def _boxed(answers: dict[str, tuple[str, str]], allowed: tuple[str, ...]) -> list[Hostile]:
    return [
        Hostile(name, f"<think>\n</think>\n\\boxed{{{answer}}}", reference, allowed)
        for name, (answer, reference) in answers.items()
    ]


CASES = [  # what can be settled comes first: it should not wait beside what keeps the machine busy
    *_boxed({name: (answer, "7") for name, answer in ODD.items()}, WRONG),
    *(Hostile(name, text, "7", WRONG) for name, text in WHOLE.items()),
    *(Hostile(name, text, reference, ("correct",)) for name, (text, reference) in EQUAL.items()),
    *_boxed({name: (answer, FORMULA) for name, answer in ENDLESS.items()}, UNKNOWN),
    *_boxed(ENDLESS_PAIRS, UNKNOWN),
    *_boxed(HEAVY_PAIRS, NOT_RIGHT),
]
