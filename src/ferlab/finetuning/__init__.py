"""Fine-tune a trained network on your own photos."""

from ferlab.finetuning.finetune import FineTuning, finetune

__all__ = ["FineTuning", "finetune"]
