"""Sections of a page that several benchmarks write."""

import re


def section_of(page: str, title: str) -> str:
    """Return the section `## title` up to the next heading of its rank; empty where there is none."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    return found.group(0) if found else ""


def with_section(page: str, title: str, text: str) -> str:
    """Return a page with the section replaced, or with it at the end; as it is where the text is empty."""
    if not text:
        return page
    old, new = section_of(page, title), text.rstrip() + "\n"
    if not old:
        return page.rstrip() + "\n\n" + new
    after = page.partition(old)[2]
    return page.replace(old, new + ("\n" if after else ""))
