"""TRL's SFTTrainer making the same updates, set up for speed: no checkpointing of gradients, no log, no evaluation.

Every update is on the responses of the same groups as the other arms'. Its loss is the mean over the update's response
tokens, as theirs is.
"""

import tempfile
from collections.abc import Callable
from typing import Any

from train_arms import CLIP, END, LEARNING_RATE, PAD, UNTRAINED, Arm, First, Setup

ACCUMULATED = "trl_accumulated"
MISSING = "the arms of TRL are left out: pip install trl"


def is_there() -> bool:
    """Import TRL, and return whether it is installed."""
    try:
        import trl.trainer.sft_trainer  # noqa: F401
    except ImportError as error:
        if error.name not in ("trl", "accelerate"):
            raise
        return False
    return True


def trl_arm(rows: str, accumulated: bool = False) -> Arm:
    """Return the arm for rows that are "padded", "padding_free" (concatenated as they come) or "packing" (packed before).

    accumulated: one response at a time, with the gradients of an update's responses accumulated.
    """

    def arm(setup: Setup, mark: Callable[[], None]) -> First:
        from datasets import disable_progress_bars
        from transformers import PrinterCallback, TrainerCallback
        from trl import SFTConfig, SFTTrainer

        class Marks(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                mark()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                mark()

        disable_progress_bars()
        dataset, per_update = _dataset(setup, rows == "packing")
        with tempfile.TemporaryDirectory() as directory:
            settings = SFTConfig(
                output_dir=directory,
                per_device_train_batch_size=1 if accumulated else per_update,
                gradient_accumulation_steps=per_update if accumulated else 1,
                max_steps=setup.updates,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant",
                max_grad_norm=CLIP,
                weight_decay=0.0,
                optim="adamw_torch_fused",
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                train_sampling_strategy="sequential",
                max_length=None,
                padding_free=rows == "padding_free",
                packing=rows == "packing",
                dataset_kwargs={"skip_prepare_dataset": True},  # it is tokens already
                logging_first_step=True,
                logging_steps=10**6,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            )
            trainer = SFTTrainer(
                model=setup.model(),
                args=settings,
                train_dataset=dataset,
                processing_class=_tokenizer(),
                callbacks=[Marks()],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        (first, *_) = (row for row in trainer.state.log_history if "loss" in row)
        return First(first["loss"], float(first["grad_norm"]))

    return arm


def _dataset(setup: Setup, packed: bool) -> tuple[Any, int]:
    """Return the responses with their prompts as TRL's rows, and how many of them an update takes."""
    from datasets import Dataset, concatenate_datasets
    from trl import pack_dataset

    def rows_of(groups: Any) -> Any:
        return Dataset.from_list(
            [
                {
                    "input_ids": [*group.prompt, *response],
                    "labels": [UNTRAINED] * len(group.prompt) + list(response),
                }
                for group in groups
                for response in group.responses
            ]
        )

    if not packed:
        return rows_of(setup.groups()), setup.sets * setup.responses
    # One row per update: rows of less would be concatenated again, and rows over several would change the work.
    rows = []
    for batch in setup.batches():
        tokens = sum(len(group.prompt) + len(y) for group in batch for y in group.responses)
        rows.append(pack_dataset(rows_of(batch), tokens))
    return concatenate_datasets(rows), 1


def _tokenizer() -> Any:
    """Return a tokenizer that SFTTrainer asks for, and that has nothing to do."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": PAD, "<unknown>": 1, "<end>": END}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unknown>")),
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unknown>",
    )


TRL_ARMS: dict[str, Arm] = {
    "trl_padded": trl_arm("padded"),
    "trl_padding_free": trl_arm("padding_free"),
    "trl_packing": trl_arm("packing"),
    ACCUMULATED: trl_arm("padded", accumulated=True),
}
