"""Whole pages against tiles, from labels to report, on a local server or on Amazon Rekognition.

python whole_against_tiles.py --quick                       free, on this machine, some minutes
python whole_against_tiles.py --aws --bucket my-bucket      the very same on AWS: two trainings, and it is billed
python whole_against_tiles.py --data DIR                    your pages: DIR/train.manifest and DIR/test.manifest
"""

import argparse

from tilekit import Tiling
from tilekit.demo import FULL, QUICK, DemoScale, run_demo

# So small that it shows the flow, not the gain.
TINY = DemoScale(
    train=4, tune=2, test=4, width=900, height=640, count=6, tiling=Tiling(256, 48), steps=20, limit=320
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--aws", action="store_true", help="train and detect on the real service")
    parser.add_argument("--bucket", help="S3 bucket for --aws")
    parser.add_argument("--data", help="folder with train.manifest and test.manifest")
    parser.add_argument("--out", default="story")
    parser.add_argument("--quick", action="store_true", help="fewer pages")
    parser.add_argument("--tiny", action="store_true", help="the flow only; proves nothing")
    given = parser.parse_args()
    if given.aws != bool(given.bucket):
        parser.error("--aws and --bucket go together")
    scale = TINY if given.tiny else QUICK if given.quick else FULL
    outcome = run_demo(given.out, scale=scale, data=given.data, bucket=given.bucket, note=print)
    print(outcome.comparison.table())
    print(*outcome.words, sep="\n")
    print(f"look at {given.out}/report/index.html")


if __name__ == "__main__":
    main()
