"""Texts with formulas for spreadsheets that separate cells by other characters than commas."""

SEPARATORS = (";", "\t", "\n", "\r\n", ";\t", ";;", '";"')
FORMULAS = ("=1+1", "+1", "-1", "@SUM(1,1)", '"=1+1', "'=1+1", "＝1+1", "a")
HOSTILE_CELLS = [
    f"a{separator}{formula}{end}"
    for separator in SEPARATORS
    for formula in FORMULAS
    for end in ("", ";")
]
