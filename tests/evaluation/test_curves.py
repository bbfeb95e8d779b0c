import io

import numpy as np
import pytest
from matplotlib.image import imread

from tests.evaluation.test_pictures import BLUE, VERMILION, near
from tfmusic.errors import UserError
from tfmusic.evaluation.curves import curves_table, draw_curves, read_run

FIELDS = ("epoch", "step", "loss", "val_loss", "accuracy", "val_accuracy")


def rows(*losses, **more):
    """Epochs of ten steps, (training loss, validation loss) each."""
    return [
        {"epoch": i, "step": 10 * (i + 1), "loss": a, "val_loss": b}
        | {"accuracy": 0.5, "val_accuracy": 0.4, "steps_per_second": 0.5}
        | more
        for i, (a, b) in enumerate(losses)
    ]


def picture(runs):
    return imread(io.BytesIO(draw_curves(runs)))[..., :3] * 255


def test_table_has_the_best_and_the_last_epoch():
    table = curves_table({"run": rows((3, 3), (2, 2.5), (1, 2.75))}).splitlines()
    assert [line.split() for line in table[1:]] == [
        ["run", "loss", "best:", "2", "2.5000", "2.0000", "20", "40", "s"],
        ["run", "loss", "last:", "3", "2.7500", "1.0000", "30", "1", "min"],
    ]


def test_nats_a_step_stand_for_the_loss_where_they_are_known():
    nats = {"nats_per_step": 1.5, "val_nats_per_step": 1.25}
    table = curves_table({"run": rows((3, 3), **nats)})
    assert "nats a step  best: 1  1.2500         1.5000" in table


def test_runs_of_older_versions_have_no_steps():
    old = [{k: v for k, v in r.items() if k != "step"} for r in rows((3, 3), (2, 2))]
    assert curves_table({"run": old}).splitlines()[1].split()[-2:] == ["-", "-"]
    assert picture({"run": old}).std() > 0


def test_each_run_has_its_colour_and_validation_falls_from_left_to_right():
    falling = rows((9, 9), (5, 5), (2, 2))
    image = picture({"one": falling, "two": rows((9.5, 9.5), (8, 8))})
    left = image[90:360, 80:520]  # the panel of the loss
    heights, places = np.nonzero(near(left, BLUE))
    assert heights[places < 150].mean() < heights[places > 300].mean()
    assert near(left, VERMILION).any()
    assert not near(picture({"one": falling}), VERMILION).any()


def test_metrics_are_read_from_a_run_or_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="expected the folder of a run that has done"):
        read_run(str(tmp_path))
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no epochs in it"):
        read_run(str(tmp_path))
    text = ",".join(FIELDS) + "\n0,10,3.0,2.5,0.1,0.2\n"
    (tmp_path / "metrics.csv").write_text(text)
    (row,) = read_run(str(tmp_path))
    assert row["val_loss"] == "2.5"
