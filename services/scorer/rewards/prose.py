r"""What of a completion is prose: without LaTeX, code and the tags of a thought.

Every pattern takes time in proportion to the text, also where a delimiter is opened a million times
and never closed: none looks past the next one of its kind.
"""

import re

_NOT_PROSE = re.compile(
    r"""
    ```(?:(?!```).)*+```                             # code that is fenced off
  | `[^`\n]*`                                        # code within a line
  | \$\$[^$]*\$\$                                    # $$ displayed $$
  | \$[^$\n]*\$                                      # $ within a line $
  | \\\[(?:(?!\\[\[\]]).)*+\\\]                      # \[ displayed \]
  | \\\((?:(?!\\[()]).)*+\\\)                        # \( within a line \)
  | \\begin\{(?:(?!\\begin\{|\\end\{).)*+\\end\{[^{}\n]*\}
  | \\(?:begin|end)\{[^{}\n]*\}                      # of an environment around another
  | \\[A-Za-z]+                                      # the name of a command
  | </?(?:think|answer)>
    """,
    re.VERBOSE | re.DOTALL,
)


def prose(text: str) -> str:
    """The text, with a blank in place of all that is not prose."""
    return _NOT_PROSE.sub(" ", text)
