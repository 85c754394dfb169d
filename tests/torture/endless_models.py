"""Open model files that never end: a loop without an end, with a right hash."""

from tests.torture.attack import ReadingAttack
from tests.torture.outcomes import Outcome, Report


class EndlessModels(ReadingAttack):
    """Open an artifact whose model loops for longer than anyone waits. It must be refused."""

    name = "endless model"
    planned = 3

    def read(self, number: int) -> Report:
        """Write the model and open it."""
        from ferlab.errors import ArtifactError
        from ferlab.predict import Artifact
        from tests.artifacts import endless_artifact

        self.place(number).mkdir()
        path = self.place(number) / "endless.onnx"
        endless_artifact(path)
        try:
            Artifact(path)
        except ArtifactError as error:
            return Report(outcome=Outcome.REFUSED, note=str(error))
        return Report(outcome=Outcome.WRONG, note="it was accepted")
