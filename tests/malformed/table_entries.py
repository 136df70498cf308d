"""Tables: any of them wrong anywhere refuses the cohort; harmless ways of writing are read."""

# ruff: noqa: E501 (a table: one entry, one line)
from __future__ import annotations

from pathlib import Path

from tests.malformed.entry import Damage, Entry
from tests.malformed.good_cohort import write_table

PEOPLE, ATTACKS = "participants.tsv", "phenotype/attacks.tsv"
SESSIONS = "sub-a01/sub-a01_sessions.tsv"
ID_ON_DISK = "Rename it there and on disk"


def bytes_of(table: str, change: object) -> Damage:
    def damage(root: Path) -> None:
        path = root / table
        path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]

    return damage


def swapped(table: str, old: str, new: str) -> Damage:
    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return bytes_of(table, change)


def rows(table: str, *lines: str) -> Damage:
    return lambda root: write_table(root / table, *lines)


def another_participant(identifier: str) -> Damage:
    row = f"{identifier}\tMS\t30\tF\tsiteA\n".encode()
    return bytes_of(PEOPLE, lambda content: content + row)


def age(text: str) -> Damage:
    return swapped(PEOPLE, "MS\t34", f"MS\t{text}")


def days(text: str) -> Damage:
    return swapped(SESSIONS, "\t365", f"\t{text}")


def unlink(table: str) -> Damage:
    return lambda root: (root / table).unlink()


def refused(name: str, damage: Damage, table: str, says: str, way_out: str) -> Entry:
    return Entry(name, damage, "refused", file=table, says=says, way_out=way_out)


def as_link(table: str, target: str) -> Damage:
    def damage(root: Path) -> None:
        (root / table).unlink()
        (root / table).symlink_to(target)

    return damage


def quoted(content: bytes) -> bytes:
    lines = content.decode().splitlines()
    cells = [[f'"{cell}"' for cell in line.split("\t")] for line in lines]
    return "\n".join("\t".join(line) for line in cells).encode()


NUMBER, UTF8, KEEP_ONE = "Write a number", "UTF-8", "Keep one"
COLUMNS = "separated by tabs: participant_id, diagnosis"

TABLES = [
    refused("no participants", unlink(PEOPLE), PEOPLE, "is missing", "Write it, with the columns"),
    refused("empty participants", bytes_of(PEOPLE, lambda _: b""), PEOPLE, "found: none", COLUMNS),
    refused("header alone", rows(PEOPLE, "participant_id diagnosis"), PEOPLE, "no participant", "Add one row"),
    refused("never fetched", as_link(PEOPLE, ".git/annex/objects/a/b"), PEOPLE, "git-annex", "git annex get"),
    refused("a device", as_link(PEOPLE, "/dev/zero"), PEOPLE, "pipe, socket or device", "Put the file"),
    refused("attacks never fetched", as_link(ATTACKS, "../.git/annex/objects/a/b"), ATTACKS, "git-annex", "git annex get"),
    refused("UTF-16", bytes_of(PEOPLE, lambda c: c.decode().encode("utf-16")), PEOPLE, "not UTF-8", UTF8),
    refused("UTF-16 without a mark", bytes_of(PEOPLE, lambda c: c.decode().encode("utf-16-le")), PEOPLE, "UTF-16?", UTF8),
    refused("Latin-1", bytes_of(PEOPLE, lambda c: c.replace(b"siteA", "Zürich".encode("latin-1"))), PEOPLE, "cannot be read", UTF8),
    refused("commas", bytes_of(PEOPLE, lambda c: c.replace(b"\t", b",")), PEOPLE, "column participant_id is missing", COLUMNS),
    refused("a column twice", swapped(PEOPLE, "age", "diagnosis"), PEOPLE, "a column is there twice", COLUMNS),
    refused("no diagnosis column", swapped(PEOPLE, "diagnosis", "group"), PEOPLE, "column diagnosis is missing", COLUMNS),
    refused("a row twice", another_participant("sub-a01"), PEOPLE, "sub-a01 has two rows", KEEP_ONE),
    refused("a row too short", swapped(PEOPLE, "\tF\tsiteA\nsub-b01", "\nsub-b01"), PEOPLE, "row 1 has 3 cells", "one cell per column"),
    refused("unknown diagnosis", swapped(PEOPLE, "NMOSD", "MOGAD"), PEOPLE, "sub-b01 has 'MOGAD'", "MS or NMOSD"),
    refused("diagnosis in small letters", swapped(PEOPLE, "NMOSD", "nmosd"), PEOPLE, "'nmosd'", "MS or NMOSD"),
    refused("diagnosis with a hidden blank", swapped(PEOPLE, "NMOSD", "NMOSD\u200b"), PEOPLE, "control character", "Take it out"),
    refused("negative age", age("-34"), PEOPLE, "age of sub-a01 is '-34'", NUMBER),
    refused("age 999", age("999"), PEOPLE, "only 0 to 120", NUMBER),
    refused("age with a comma", age("34,5"), PEOPLE, "not a number", NUMBER),
    refused("age NaN", age("NaN"), PEOPLE, "'NaN', not a number", "n/a where it is unknown"),
    refused("age in hexadecimal", age("0x22"), PEOPLE, "not a number", NUMBER),
    refused("scanner NA", swapped(PEOPLE, "34\tF\tsiteA", "34\tF\tNA"), PEOPLE, "scanner of sub-a01 is 'NA'", "n/a"),
    refused("days in words", days("one year"), SESSIONS, "sub-a01 ses-02 is 'one year'", NUMBER),
    refused("days as a date", days("2021-03-04"), SESSIONS, "'2021-03-04', not a number", NUMBER),
    refused("days as a date without dashes", days("20210304"), SESSIONS, "-100000 to 100000", NUMBER),
    refused("days infinite", days("1e999"), SESSIONS, "not a number", NUMBER),
    refused("no days", days("n/a"), SESSIONS, "ses-02 has no days", "days_from_baseline"),
    refused("session of nobody", swapped(SESSIONS, "ses-02", "ses-03"), SESSIONS, "ses-02 of sub-a01 has images but no days", "Add its row"),
    refused("a session twice", swapped(SESSIONS, "ses-01", "ses-02"), SESSIONS, "sub-a01 ses-02 has two rows", KEEP_ONE),
    refused("no table of sessions", unlink(SESSIONS), SESSIONS, "have no days", "Write it"),
    refused("attack of nobody", swapped(ATTACKS, "sub-a01", "sub-c09"), ATTACKS, "sub-c09", "Correct the participant_id"),
    refused("attack in spring", swapped(ATTACKS, "-300", "spring"), ATTACKS, "'spring', not a number", NUMBER),
    refused("quote without its partner", swapped(PEOPLE, "siteA\nsub-b01", '"siteA\nsub-b01'), PEOPLE, "cannot be read", "UTF-8"),
    refused("quotes around two rows", swapped(PEOPLE, "siteA\nsub-b01\tNMOSD\t51\tF\tsiteA", '"siteA\nsub-b01\tNMOSD\t51\tF\tsiteA"'), PEOPLE, "line break", "quotation mark"),
    refused("tab inside quotes", swapped(PEOPLE, "34\tF\tsiteA", '34\tF\t"site\tA"'), PEOPLE, "control character", "Take it out"),
    refused("terminal codes", swapped(PEOPLE, "siteA", "\x1b[2JsiteA"), PEOPLE, "control character in '\\x1b", "Take it out"),
    refused("one line of 10 MB", bytes_of(PEOPLE, lambda _: b"x" * 10_000_000), PEOPLE, "cannot be read", "UTF-8"),
    refused("a header of 10 MB", bytes_of(PEOPLE, lambda _: b"x\t" * 5_000_000), PEOPLE, "column participant_id is missing", COLUMNS),
    refused("id that leaves the folder", another_participant("sub-../../x"), PEOPLE, "'sub-../../x' is not a BIDS id", ID_ON_DISK),
    refused("absolute id", another_participant("/etc/sub-1"), PEOPLE, "not a BIDS id", ID_ON_DISK),
    refused("id with a slash", another_participant("sub-a/b"), PEOPLE, "not a BIDS id", ID_ON_DISK),
    refused("id with a blank", another_participant("sub-a 1"), PEOPLE, "not a BIDS id", ID_ON_DISK),
    refused("id in Cyrillic letters", another_participant("sub-\u0430\u0441"), PEOPLE, "'sub-\\u0430\\u0441'", ID_ON_DISK),
    refused("id of a thousand letters", another_participant("sub-" + "a" * 1000), PEOPLE, "longer than 64", ID_ON_DISK),
    refused("id in other capitals", another_participant("sub-A01"), PEOPLE, "only in capital letters", "Rename one"),
    refused("session id that leaves the folder", swapped(SESSIONS, "ses-02", "ses-../../../x"), SESSIONS, "not a BIDS id", ID_ON_DISK),
    Entry("no newline at the end", bytes_of(PEOPLE, bytes.rstrip), "read"),
    Entry("Windows line ends", bytes_of(PEOPLE, lambda c: c.replace(b"\n", b"\r\n")), "read"),
    Entry("byte order mark", bytes_of(PEOPLE, lambda c: b"\xef\xbb\xbf" + c), "read"),
    Entry("quotes around every cell", bytes_of(PEOPLE, quoted), "read"),
    Entry("blanks around cells", bytes_of(PEOPLE, lambda c: c.replace(b"\t", b" \t ")), "read"),
    Entry("blank lines", bytes_of(PEOPLE, lambda c: c.replace(b"\n", b"\n\n")), "read"),
    Entry("no attacks recorded", unlink(ATTACKS), "read"),
    Entry("attack without a date", swapped(ATTACKS, "-300", "n/a"), "read"),
    Entry("age over 89", age("89+"), "read"),
]  # fmt: skip
