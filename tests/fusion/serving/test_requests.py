"""What the service refuses, and that what it refuses leaves nothing behind."""

import asyncio
import re
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from features.media.container import MediaError, open_media
from fusion.serving.folders import new_id
from fusion.serving.jobs import Job, JobStore
from fusion.serving.web.media_check import is_media, media_found
from fusion.serving.web.upload import TooLarge, TooSlow, receive
from tests.fusion.serving.conftest import Client, Start, eventually, files_of, posted, until
from tests.media import tone, write_sound

TOKEN = "a-token-of-this-test"
ANYWHERE = {"host": "203.0.113.9:8000"}


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return tmp_path / "served"


def outcomes(client: Client, token: str = "") -> dict[str, float]:
    """Uploads by what became of them, as the metrics count."""
    text = client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).text
    lines = [line for line in text.splitlines() if line.startswith("affuse_uploads_total{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def test_too_large_a_body_is_refused_by_what_it_says(
    started: Start, clip: bytes, served: Path
) -> None:
    with started(limit=100) as client:
        answer = client.post("/jobs", content=clip)
        assert (answer.status_code, answer.json()) == (413, {"detail": "more than 100 bytes"})
        assert outcomes(client)["too_large"] == 1
    assert files_of(served) == []


def test_too_large_a_body_is_refused_while_it_arrives(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b"x" * 1000

    with pytest.raises(TooLarge):
        asyncio.run(receive(endless(), tmp_path / "a", limit=9_500, idle=5, whole=5))
    assert sent == 10_000
    assert (tmp_path / "a").stat().st_size <= 9_500


def test_too_large_a_body_without_a_length_leaves_nothing(
    started: Start, clip: bytes, served: Path
) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (clip[i : i + 100] for i in range(0, len(clip), 100))

    with started(limit=1000) as client:
        assert client.post("/jobs", content=pieces()).status_code == 413
    assert files_of(served) == []


@pytest.mark.parametrize("times", [{"idle": 0.05, "whole": 5.0}, {"idle": 5.0, "whole": 0.05}])
def test_a_client_that_sends_too_slowly_is_given_up(
    tmp_path: Path, times: dict[str, float]
) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    with pytest.raises(TooSlow):
        asyncio.run(receive(slow(), tmp_path / "a", limit=100, **times))


@pytest.mark.parametrize("body", [b"", b"\0" * 5000, b"PK\x03\x04" + b"\0" * 500, b"GIF89a", b"a"])
def test_what_is_no_media_is_refused(client: Client, served: Path, body: bytes) -> None:
    assert client.post("/jobs", content=body).status_code == 415
    assert files_of(served) == []
    assert outcomes(client)["not_media"] == 1


def playlists(folder: Path) -> dict[str, bytes]:
    """Files that have FFmpeg read other files: `secret.ts` in a folder."""
    sound = (folder / "secret.ts").as_posix()
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{sound}\n#EXT-X-ENDLIST\n"
    return {
        "hls": hls.encode(),
        "hls_url": hls.replace(sound, f"file://{sound}").encode(),
        "hls_concat": hls.replace(sound, f"concat:{sound}|{sound}").encode(),
        "concat": f"ffconcat version 1.0\nfile '{sound}'\n".encode(),
        "concat_near": b"ffconcat version 1.0\nfile secret.ts\n",
        "dash": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
            ' mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="audio/wav">'
            f'<Representation id="1" bandwidth="1"><BaseURL>{sound}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        ).encode(),
        "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=audio 5004 RTP/AVP 0\r\n",
    }


@pytest.mark.parametrize("kind", sorted(playlists(Path("/"))))
def test_playlists_and_scripts_open_no_other_file(
    client: Client, served: Path, tmp_path: Path, kind: str
) -> None:
    for folder in (tmp_path, served / "incoming"):
        write_sound(folder / "secret.ts", tone(0.1), 44_100, "mp2")
    script = playlists(tmp_path)[kind]
    assert client.post("/jobs", content=script).status_code == 415
    (served / "incoming" / "secret.ts").unlink()
    assert files_of(served) == []


@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_the_scripts_of_this_test_would_read_other_files(tmp_path: Path, kind: str) -> None:
    write_sound(tmp_path / "secret.ts", tone(0.1), 44_100, "mp2")
    path = tmp_path / {"hls": "a.m3u8", "concat": "a"}[kind]
    path.write_bytes(playlists(tmp_path)[kind])
    with av.open(str(path), options={"safe": "0"} if kind == "concat" else {}) as container:
        assert next(container.decode(audio=0)).samples > 0
    assert not is_media(path)


def test_the_worker_opens_no_address(tmp_path: Path) -> None:
    reached = []

    def answer(listener: socket.socket) -> None:
        with suppress(TimeoutError):
            listener.accept()[0].close()
            reached.append(True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1.0)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        (tmp_path / "a.m3u8").write_text(playlist)
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        with pytest.raises(MediaError), open_media(tmp_path / "a.m3u8") as container:
            next(container.decode(audio=0))
        thread.join()
    assert reached == []


def test_ids_are_long_and_random() -> None:
    names = {new_id() for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)


def test_a_check_that_hangs_or_crashes_refuses(
    tmp_path: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusion.serving.web import media_check

    (tmp_path / "a").write_bytes(clip)
    assert asyncio.run(media_found(tmp_path / "a"))
    for code in ("import os; os.kill(os.getpid(), 11)", "import time; time.sleep(60)"):
        monkeypatch.setattr(media_check, "_CODE", code)
        monkeypatch.setattr(media_check, "SECONDS", 1)
        assert not asyncio.run(media_found(tmp_path / "a"))
    monkeypatch.setattr(media_check, "_CODE", "import nosuchmodule")
    with pytest.raises(RuntimeError, match="nosuchmodule"):
        asyncio.run(media_found(tmp_path / "a"))


def test_the_check_may_write_nothing(tmp_path: Path, clip: bytes) -> None:
    import subprocess
    import sys

    (tmp_path / "a").write_bytes(clip)
    code = (
        "import sys; from fusion.serving.web import media_check\n"
        "media_check.is_media = lambda path: path.with_name('b').write_text('x') and True\n"
        "media_check.main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert (tmp_path / "b").read_text() == ""


def test_a_full_queue_is_told_with_a_time_to_come_back(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "order").write_text("wait")
    with started(queue=1) as client:
        until(client, posted(client, clip), "running")
        posted(client, clip)
        answer = client.post("/jobs", content=clip)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 600
        assert outcomes(client) | {"accepted": 2, "queue_full": 1} == outcomes(client)


def test_a_full_disk_is_told(started: Start, clip: bytes) -> None:
    with started(reserve=1 << 60) as client:
        assert client.post("/jobs", content=clip).status_code == 507
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "no space"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_stops_the_work_and_is_told(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started() as client:
        assert client.get("/health").status_code == 200
        monkeypatch.setattr(JobStore, "claim", lambda self: {}["absent"])
        assert eventually(lambda: client.get("/health").json() == {"status": "no worker"})
        assert client.get("/health").status_code == 503


def test_a_fault_of_the_disk_is_tried_again(
    started: Start, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, faults = JobStore.claim, [sqlite3.OperationalError("disk I/O error"), OSError(5, "no")]

    def faulty(self: JobStore) -> Job | None:
        if faults:
            raise faults.pop()
        return claim(self)

    monkeypatch.setattr(JobStore, "claim", faulty)
    with started() as client:
        until(client, posted(client, clip), "done")
    assert faults == []


def test_only_the_token_opens(started: Start, clip: bytes) -> None:
    with started(token=TOKEN) as client:
        for shown in ({}, {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": TOKEN}):
            for method, path in (
                ("POST", "/jobs"),
                ("GET", "/metrics"),
                ("GET", f"/jobs/{'0' * 32}"),
                ("DELETE", f"/jobs/{'0' * 32}"),
                ("GET", f"/jobs/{'0' * 32}/events"),
                ("GET", f"/jobs/{'0' * 32}/files/a"),
            ):
                answer = client.request(method, path, headers=shown)
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/health").status_code == client.get("/").status_code == 200
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("/jobs", content=clip, headers=right | ANYWHERE).status_code == 202
        assert outcomes(client, TOKEN)["accepted"] == 1


def test_without_a_token_only_names_of_this_machine_are_answered(client: Client) -> None:
    names = ("evil.example:8000", "evil.example", "203.0.113.9:8000", "", "localhost.example")
    for host in names:
        assert client.get("/health", headers={"host": host}).status_code == 403, host
    for host in ("localhost:8000", "127.0.0.1", "127.0.0.1:1"):
        assert client.get("/health", headers={"host": host}).status_code == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(
    client: Client, clip: bytes, served: Path, headers: dict[str, str]
) -> None:
    assert client.post("/jobs", content=clip, headers=headers).status_code == 403
    assert client.delete(f"/jobs/{'0' * 32}", headers=headers).status_code == 403
    assert files_of(served) == []
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert client.post("/jobs", content=clip, headers=own).status_code == 202


NAMES = [
    "../../jobs.sqlite", "..%2f..%2fjobs.sqlite", "%2e%2e/%2e%2e/jobs.sqlite", "clip", "../clip",
    "summary.txt%00", "/etc/passwd", "%2fetc%2fpasswd", "summary.txt/", ".", "$(id)", "a" * 5000,
]  # fmt: skip


def test_a_name_reaches_no_file_but_a_result(client: Client, clip: bytes) -> None:
    name = posted(client, clip)
    until(client, name, "done")
    for asked in NAMES:
        for path in (f"/jobs/{name}/files/{asked}", f"/jobs/{asked}", f"/jobs/{asked}/events"):
            answer = client.get(path)
            assert answer.status_code in (404, 405, 422) or answer.url.path == "/", path
    assert client.get(f"/jobs/{name}/files/summary.txt").status_code == 200


def test_names_and_types_that_a_client_sends_change_nothing(
    client: Client, clip: bytes, served: Path
) -> None:
    told = {
        "content-type": "application/x-sh; charset=$(touch /tmp/x)",
        "content-disposition": 'attachment; filename="../../evil.sh"',
        "x-filename": "../../evil.sh",
    }
    answer = client.post("/jobs", content=clip, headers=told, params={"name": "../evil"})
    until(client, answer.json()["id"], "done")
    assert files_of(served) == [f"jobs/{answer.json()['id']}/out/summary.txt"]
    form = client.post("/jobs", files={"file": ("a.wav", clip)})
    assert (form.status_code, form.json()["detail"]) == (
        415,
        "send the file itself as the body, not a form",
    )


def test_the_folder_is_for_its_user_alone(client: Client, served: Path) -> None:
    for folder in (served, served / "incoming", served / "jobs"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_answers_are_not_sniffed_framed_kept_or_scripted(client: Client) -> None:
    for path in ("/health", "/", "/nosuch"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
