"""The classifier's last layer: dropout, then one linear map."""

from torch import Tensor, nn

from vertebra.errors import RecipeError


class LinearHead(nn.Module):
    """Vector [N, width] -> logits [N, classes]; weights start at N(0, 0.01), biases at zero.

    Raises:
        RecipeError: `classes` is not positive, or `dropout` is not in [0, 1).
    """

    def __init__(self, width: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if classes < 1 or not 0 <= dropout < 1:
            raise RecipeError(
                f"the head has classes={classes}, dropout={dropout}; "
                "choose at least one class and a dropout in [0, 1)"
            )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, vector: Tensor) -> Tensor:
        """vector: [N, width] -> logits [N, classes]."""
        return self.fc(self.dropout(vector))
