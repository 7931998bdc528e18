"""``transferqueue migrate``: rewrites code that was written for the peer's old rows and names.

`rewriting.rewrite` is the whole of it for one file's text; `sources` finds and writes files, `run` is the command. Only
`run` is imported without libcst.
"""
