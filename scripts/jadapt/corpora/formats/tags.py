"""HTML tags in text: those of a block part what is beside them, those in a line do not."""

from __future__ import annotations

import re

BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|col|colgroup|dd|details|dialog|dir|div|"
    "dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|"
    "legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|pre|search|section|"
    "summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul"
)
"""Names of tags, as alternatives of a pattern: what CommonMark takes for a block, br and pre."""

# Values in quotes or in the braces of JSX may hold anything; what has matched is not tried again.
ATTRIBUTES = r"(?:\"[^\"]*\"|'[^']*'|\{[^{}]*\}|[^'\"<>])*+"
ANY = re.compile(rf"</?[A-Za-z]{ATTRIBUTES}>")
BLOCK = re.compile(rf"</?(?:{BLOCKS})(?![\w.:-]){ATTRIBUTES}>", re.IGNORECASE)
