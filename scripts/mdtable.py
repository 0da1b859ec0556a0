"""Tables in Markdown."""


def mdtable(lines):
    """The first of the lines, which are lists of strings, is the head."""
    head, *rest = lines
    return ''.join('| ' + ' | '.join(cells) + ' |\n'
                   for cells in [head, ['---'] * len(head), *rest])
