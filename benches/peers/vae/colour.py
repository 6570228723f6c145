"""Writes the first images of an idx file (MNIST) as PNG files of 32 × 32 pixels in three equal channels, with a black margin, so that a model of CIFAR-10 can
measure their density: colour.py IMAGES FOLDER [COUNT]."""

import pathlib
import struct
import sys
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


images = pathlib.Path(sys.argv[1]).read_bytes()
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
magic, count, *size = struct.unpack(">4I", images[:16].ljust(16, b"\0"))
if magic != 0x803 or size != [28, 28] or len(images) != 16 + 784 * count:
    sys.exit(f"{sys.argv[1]}: an unpacked idx file of 28 × 28 images is expected")
for index in range(min(count, int(sys.argv[3]) if len(sys.argv) > 3 else 1000)):
    pixels = images[16 + index * 784 :][:784]
    rows = [bytes(32)] * 2 + [bytes(2) + pixels[28 * y :][:28] + bytes(2) for y in range(28)] + [bytes(32)] * 2
    scanlines = b"".join(b"\0" + bytes(value for value in row for _ in range(3)) for row in rows)
    header = struct.pack(">2I5B", 32, 32, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")
    (folder / f"{index:05}.png").write_bytes(png)
