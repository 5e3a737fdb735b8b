"""The forms of a csv that spreadsheets and other tools write are understood; what is ambiguous is refused."""

import pytest

from resjax.data.sources.csv_table import read_table
from resjax.errors import BadInput

FILES = {"a.jpg", "b.jpg", "image.jpg", "image"}


def read(data: bytes, tmp_path):
    (tmp_path / "my.csv").write_bytes(data)
    return read_table("csv:my.csv", tmp_path / "my.csv", FILES.__contains__)


@pytest.mark.parametrize(
    "text",
    [
        "filename;label\na.jpg;dog\n",
        "filename\tlabel\na.jpg\tdog\n",
        "filename|label\na.jpg|dog\n",
        "sep=,\nfilename,label\na.jpg,dog\n",
        '\r\n"SEP=;"\r\nfilename;label\r\na.jpg;dog',
        "sep=\t\nfilename\tlabel\na.jpg\tdog\n",
        "sep=!\nfilename!label\na.jpg!dog\n",
        "\n,\n  \nfilename,label\na.jpg,dog\n",
        "Filename,Label\na.jpg,dog\n",
        "image_path,class\na.jpg,dog\n",
        ",File Path,Class-Name,who\n0,a.jpg,dog,me\n",
        "id,label\na.jpg,dog\n",
        "id,filename,class,label\n7,a.jpg,mammal,dog\n",
        "label;filename\r dog ;a.jpg\r",
        'filename, label\n"a.jpg", "dog"\n',
        "filename,label,,\na.jpg,dog\n",
        "filename,label\na.jpg,dog,,\n",
        "filename,label,note\na.jpg,dog\n",
        "a.jpg,dog\n",
        "dog;a.jpg\n",
    ],
)
def test_a_form_that_is_unambiguous_is_understood(text, tmp_path):
    rows = [row for row in read(text.encode(), tmp_path).rows if not row.is_blank]
    assert [(row.filename, row.label) for row in rows] == [("a.jpg", "dog")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_the_encodings_of_spreadsheets_are_understood(encoding, tmp_path):
    table = read("filename,label\na.jpg,gad\xf3\n".encode(encoding), tmp_path)
    assert table.rows[0].label == "gad\xf3" and len(table.notes) == (encoding in ("latin-1", "cp1252"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image_path,img,class\na.jpg,b.jpg,dog\n", "image_path, img, class"),
        ("filename,breed\na.jpg,dog\n", "filename, breed"),
        ("filename label\na.jpg dog\n", "filename label"),
        ("sep=;\nfilename,label\na.jpg,dog\n", "filename,label"),
        ("a.jpg,b.jpg\n", "a.jpg, b.jpg"),
        ("image,kind\na.jpg,dog\n", "image, kind"),
        ("a.jpg,dog,7\n", "a.jpg, dog, 7"),
        ("filename,label\na.jpg;dog\n", "row 2"),
        ("sep=,\n\nfilename,label\na.jpg,dog\nb.jpg,dog,x\n", "row 5"),
        ("filename,label,breed\na.jpg,dog,b,x\n", "row 2 has 4 cells"),
    ],
)
def test_a_form_that_is_ambiguous_is_refused_with_what_was_found(text, named, tmp_path):
    with pytest.raises(BadInput) as refused:
        read(text.encode(), tmp_path)
    assert named in str(refused.value) and "\n" not in str(refused.value)


def test_what_had_to_be_understood_is_noted(tmp_path):
    assert read(b"filename,label\na.jpg,dog\n", tmp_path).notes == []
    (note,) = read(b"File;Class;fold\na.jpg;dog;1\n", tmp_path).notes
    assert all(word in note for word in ("File", "Class", "semicolons", "fold"))
