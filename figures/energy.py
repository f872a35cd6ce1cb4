"""How much of a held-out normal lies in the leading singular directions."""

from matplotlib.figure import Figure

from analysis.results import SpectrumResult
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    ONE_COLUMN,
    add_caption,
    new_figure,
    plain_log_ticks,
    styled,
)


@styled
def plot_energy(result: SpectrumResult) -> Figure:
    """Return captured energy against R: held out, in the sample that made the directions, and R/D.

    Only the held-out curve says what the directions share with new images.
    """
    energy = result.energy
    low, high = energy.interval()
    R = energy.dimensions
    figure = new_figure(ONE_COLUMN, 3.0)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    axes.plot(R, energy.in_sample, color=GREY, ls="--", label="in-sample (biased)")
    axes.fill_between(R, low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 % interval")
    marker = "o" if len(R) == 1 else ""
    axes.plot(R, energy.mean, color=BLUE, marker=marker, label="held-out normals (mean)")
    axes.plot(R, energy.isotropic, color=BLACK, ls=":", marker=marker, label="R / D, isotropic")
    bottom = 0.7 * min(float(energy.isotropic[0]), max(float(energy.mean[0]), 1e-12))
    top = float(energy.in_sample[-1])
    axes.set_ylim(bottom, max(1.1, top) if top > 0.3 else 2 * top)
    plain_log_ticks(axes.xaxis, 1, len(R) + 1)
    plain_log_ticks(axes.yaxis, bottom, top)
    axes.set_xlabel("R, number of leading directions")
    axes.set_ylabel("captured energy (share)")
    figure.legend(loc="outside upper left", ncols=2, fontsize=6.5, columnspacing=1.0)
    add_caption(
        figure,
        f"Directions from n = {energy.fitted} normals, energy of {len(energy.held_out)} held-out "
        f"ones (split seed {result.seed}); D = {energy.dimension}. Band: 95 % interval "
        "of the mean over images.",
    )
    return figure
