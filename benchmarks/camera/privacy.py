"""What the search for faces finds, and hides needlessly.

    python benchmarks/camera/privacy.py --faces FILE --photos DIR

FILE is an array of grey faces from 0 to 1 (NumPy, count × height × width), such as the LFW subset that scikit-image
brings along (`skimage/data/lfw_subset.npy`, its first 100 are faces). They are pasted into the photos of DIR, which
show no people. LFW was collected by a detector of the same kind, so its faces are those that it finds: an upper bound.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from camera.visits.privacy import SEARCH_WIDTH, Cascades

SIZES = (28, 40, 80)
HEIGHT = SEARCH_WIDTH * 3 // 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    if options.faces is None or options.photos is None:
        print("nothing measured: name --faces FILE and --photos DIR")
        return
    faces = np.load(options.faces)[: options.count]
    paths = sorted(options.photos.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // options.count)][: options.count]
    photos = [Image.open(path).convert("RGB").resize((SEARCH_WIDTH, HEIGHT)) for path in paths]
    search = Cascades()
    cpu = time.process_time()
    needless = sum(bool(search(np.asarray(photo))) for photo in photos)
    each = (time.process_time() - cpu) / len(photos)
    print(
        f"photos without people     {needless} of {len(photos)} had something hidden; "
        f"{each * 1000:.0f} ms processor time a search"
    )
    for size in SIZES:
        found = sum(finds(search, face, photos[number % len(photos)], size) for number, face in enumerate(faces))
        print(f"faces of {size:2} pixels        {found} of {len(faces)} found")


def finds(search: Cascades, face: npt.NDArray[np.float64], photo: Image.Image, size: int) -> bool:
    """Paste the face into the middle of the photo; whether some area covers its middle."""
    picture = photo.copy()
    left, top = (SEARCH_WIDTH - size) // 2, (HEIGHT - size) // 2
    grey = Image.fromarray((face * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    picture.paste(grey.convert("RGB"), (left, top))
    x, y = SEARCH_WIDTH / 2, HEIGHT / 2
    return any(
        area.left <= x <= area.left + area.width and area.top <= y <= area.top + area.height
        for area in search(np.asarray(picture))
    )


if __name__ == "__main__":
    main()
