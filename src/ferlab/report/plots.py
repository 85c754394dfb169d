"""Plots as SVG text, ready to stand in an HTML page."""

import io
import re

TRAINING, VALIDATION = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion: told apart by colour-blind readers


def learning_curves(title: str, history: list[dict[str, float]]) -> str:
    """Training and validation accuracy and loss over epochs, side by side, as the study showed them.

    Args:
        title: name of the run, for readers who do not see the picture as well.
        history: one dictionary per epoch with `epoch, accuracy, val_accuracy, loss, val_loss`.

    Returns:
        One `<svg>` element.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 2.9), layout="constrained")
    epochs = [entry["epoch"] for entry in history]
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        axes.plot(epochs, [entry[name] for entry in history], "o-", color=TRAINING, label="training", markersize=3)
        axes.plot(
            epochs,
            [entry[f"val_{name}"] for entry in history],
            "s--",
            color=VALIDATION,
            label="validation",
            markersize=3,
        )
        axes.set(xlabel="epoch", ylabel=name, xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return _svg(figure, f"Training and validation accuracy and loss of {title} over {len(epochs)} epochs")


def _svg(figure, description: str) -> str:  # type: ignore[no-untyped-def]  # matplotlib is imported late
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": description}):  # the same picture has the same bytes
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{description}" ', svg, count=1)
