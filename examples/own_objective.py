"""Search anything that takes a trial and returns a number; here a scikit-learn model, trained and reported in steps."""

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import leadline as ll

images, labels = load_digits(return_X_y=True)
train_x, valid_x, train_y, valid_y = train_test_split(images / 16, labels, random_state=0)


def objective(trial: ll.ActiveTrial) -> float:
    """Returns the validation accuracy of a linear model after ten passes through the data."""
    model = SGDClassifier(**trial.params, random_state=0)
    for epoch in range(1, 11):
        model.partial_fit(train_x, train_y, classes=range(10))
        trial.report(model.score(valid_x, valid_y), epoch)
        if trial.should_prune():
            raise ll.Pruned
    return float(model.score(valid_x, valid_y))


space = ll.Space(
    alpha=ll.Float(1e-7, 1e-1, log=True),
    penalty=ll.Choice(["l2", "l1", "elasticnet"]),
    l1_ratio=ll.Float(0.0, 1.0, when={"penalty": "elasticnet"}),
)
study = ll.Study("own-objective", space, pruner="median").run(objective, trials=30)
print(study.best.params, study.best.value)
