#!/usr/bin/env python3
"""Container images by hand, the same bytes for the same files: images.py --bin BUILD/bin --out LAYOUT [--archives DIR].

Writes an OCI image layout (image-spec v1.0) that registry.py serves; --archives writes a tar of each image as well, for
`ctr -n k8s.io images import`. Every image is one layer: the programs, the shared libraries that ldd names, and what the
C library wants of /etc. Reproducible: sorted names, times 0, owner 0, no compression.
"""
import argparse
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nweft:x:65532:65532:weft:/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nnogroup:x:65534:\nweft:x:65532:\n"
TOOLS = ("sh", "curl", "cat", "sleep", "ls", "id", "seq", "head", "tail", "tr", "wc", "grep", "date", "env", "touch", "rm",
         "mkdir", "ip", "ss", "sha256sum", "timeout", "dd")


class Image:
    """Files of one layer: path in the image -> bytes, or the target of a symlink."""

    def __init__(self, name, command, user=""):
        self.name, self.command, self.user = name, command, user
        self.more_names = []
        self.files, self.links = {}, {}

    def usr_merged(self):
        for name in ("bin", "sbin", "lib", "lib64"):
            self.links[name] = f"usr/{name}"
        self.text("etc/passwd", PASSWD)
        self.text("etc/group", GROUP)
        self.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        return self

    def text(self, path, content):
        self.files[path] = (content.encode(), 0o644)

    def program(self, source, path):
        """A program at that path, with every shared library that the loader would take."""
        self.files[path] = (pathlib.Path(source).read_bytes(), 0o755)
        for library in libraries(source):
            self.files["usr" + library.removeprefix("/usr")] = (pathlib.Path(library).read_bytes(), 0o755)

    def layer(self):
        out = io.BytesIO()
        entries = {**{p: ("file", *v) for p, v in self.files.items()}, **{p: ("link", t) for p, t in self.links.items()}}
        for path in list(entries) + ["tmp/x"]:
            for parent in list(pathlib.PurePosixPath(path).parents)[:-1]:
                entries.setdefault(str(parent), ("dir",))
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path, entry in sorted(entries.items()):
                info = tarfile.TarInfo(path)
                info.mode = 0o1777 if path == "tmp" else 0o755
                if entry[0] == "dir":
                    info.type = tarfile.DIRTYPE
                elif entry[0] == "link":
                    info.type, info.linkname = tarfile.SYMTYPE, entry[1]
                else:
                    info.size, info.mode = len(entry[1]), entry[2]
                tar.addfile(info, io.BytesIO(entry[1]) if entry[0] == "file" else None)
        return out.getvalue()


def libraries(program):
    """Absolute paths of what the program is linked to, its loader included; none when it is static."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True)
    if answer.returncode != 0:
        return []
    if "not found" in answer.stdout:
        sys.exit(f"images: {program} misses a library:\n{answer.stdout}")
    return re.findall(r"(?:=> |^\s)(/\S+) \(", answer.stdout, re.M)


def pause(scratch):
    program = pathlib.Path(scratch) / "pause"
    subprocess.run(["gcc", "-Os", "-static", "-s", "-Wl,--build-id=none", "-o", program, HERE / "pause.c"], check=True)
    image = Image("weft.local/pause:dev", ["/pause"], "65535:65535")
    image.program(program, "pause")
    return image


def httpgo(binaries):
    image = Image("docker.io/cmssw/httpgo:latest", ["httpgo"]).usr_merged()
    image.program(binaries / "httpgo", "data/httpgo")
    image.links["usr/bin/httpgo"] = "/data/httpgo"
    return image


def version():
    return re.search(r"^project\(weft VERSION (\S+)", (HERE / "../../CMakeLists.txt").read_text(), re.M)[1]


def weft(binaries):
    image = Image("weft.local/weft:dev", ["/usr/bin/weftctl", "--help"], "65532:65532").usr_merged()
    # What the installer asks for when it is not told of an image, as the seed's commands do not.
    image.more_names.append(f"docker.io/weft/weft:{version()}")
    for name in ("weft-agent", "weft-proxy", "weftctl"):
        image.program(binaries / name, f"usr/bin/{name}")
    image.links["usr/bin/istioctl"] = "weftctl"
    if (binaries / "weft-cni").exists():
        image.program(binaries / "weft-cni", "usr/libexec/weft/weft-cni")
    return image


def tools(binaries):
    image = Image("weft.local/tools:dev", ["sleep", "infinity"]).usr_merged()
    for name in TOOLS:
        source = shutil.which(name) or sys.exit(f"images: this machine has no {name}")
        image.program(os.path.realpath(source), f"usr/bin/{name}")
    for name in ("probe", "echo"):
        image.program(binaries / name, f"usr/local/bin/{name}")
    return image


class Layout:
    """An OCI image layout in a folder; blobs that no image names any more are removed at the end."""

    def __init__(self, folder):
        self.folder, self.kept, self.manifests = folder, set(), []
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def blob(self, content, media):
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / "blobs" / "sha256" / digest
        if not path.exists():
            write_whole(path, content)
        self.kept.add(digest)
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(content)}

    def add(self, image):
        layer = self.blob(image.layer(), "layer.v1.tar")
        config = {"architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z",
                  "config": {"Entrypoint": image.command, "Env": [PATH], "User": image.user, "WorkingDir": "/"},
                  "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        described = self.blob(encode(config), "config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": described, "layers": [layer]}
        entry = self.blob(encode(manifest), "manifest.v1+json")
        named = [{**entry, "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}}
                 for name in [image.name, *image.more_names]]
        self.manifests += named
        return [named[0], described, layer]

    def close(self):
        write_whole(self.folder / "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        write_whole(self.folder / "index.json", index_of(self.manifests))
        for path in (self.folder / "blobs" / "sha256").iterdir():
            if path.name not in self.kept:
                path.unlink()

    def archive(self, image, descriptors, folder):
        """One image as a tar of its own."""
        name = re.sub(r"[^a-z0-9]+", "-", image.name) + ".tar"
        members = {"index.json": index_of(descriptors[:1]), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        for one in descriptors:
            digest = one["digest"].removeprefix("sha256:")
            members[f"blobs/sha256/{digest}"] = (self.folder / "blobs" / "sha256" / digest).read_bytes()
        with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
            for path, content in sorted(members.items()):
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def index_of(manifests):
    return encode({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})


def write_whole(path, content):
    """A reader sees the old file or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.rename(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of weft's programs")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the layout to write")
    parser.add_argument("--archives", type=pathlib.Path, help="also a tar of each image, in this folder")
    options = parser.parse_args()
    layout = Layout(options.out)
    if options.archives:
        options.archives.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        images = [pause(scratch), httpgo(options.bin), weft(options.bin), tools(options.bin)]
    for image in images:
        descriptors = layout.add(image)
        size = descriptors[-1]["size"] / (1 << 20)
        print(f"  {descriptors[0]['digest'][7:19]}  {size:5.1f} MiB  {image.name}")
        if options.archives:
            layout.archive(image, descriptors, options.archives)
    layout.close()


if __name__ == "__main__":
    main()
