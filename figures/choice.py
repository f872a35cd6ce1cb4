"""How R was chosen: fooling rates on the images that do nothing else."""

from matplotlib.figure import Figure

from analysis.results import UniversalResult
from figures.fooling import draw_dimension_axis, show_percentages
from figures.formats import number
from figures.style import BLACK, BLUE, PINK, TWO_COLUMNS, add_caption, new_figure, styled


@styled
def plot_choice(result: UniversalResult) -> Figure:
    """Return the rate of S_f and of every draw of matched noise against R, and the chosen R."""
    choice = result.choice
    figure = new_figure(TWO_COLUMNS, 2.9)
    axes = figure.subplots()
    for place, rates in enumerate(choice.noise):
        label = "each draw of matched noise" if place == 0 else None
        axes.plot(choice.dimensions, rates, color=PINK, marker="^", ms=3, lw=0.8, label=label)
    axes.errorbar(
        choice.dimensions,
        choice.rate,
        yerr=choice.error,
        color=BLUE,
        marker="o",
        capsize=2.5,
        elinewidth=0.9,
        label="random in S_f",
    )
    how = "stated" if choice.stated else "chosen"
    axes.axvline(choice.chosen, color=BLACK, ls="-.", lw=0.9, label=f"R {how}: {choice.chosen}")
    draw_dimension_axis(axes, [float(R) for R in choice.dimensions])
    show_percentages(axes)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("fooling rate (%)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    add_caption(
        figure,
        f"{choice.images} images that choose R and do nothing else; norm "
        f"{number(result.reference_norm)} input units, not clipped; bars: standard errors over "
        f"images and vectors. Matched noise fools most at R = {choice.noise_best}.",
    )
    return figure
