"""Drive the search from a loop of your own."""

import leadline as ll

space = ll.Space(x=ll.Float(-5, 5), kind=ll.Choice(["bowl", "well"]))
study = ll.Study("ask-tell", space, direction="minimize", strategy="gp")
study.enqueue({"x": 1.0, "kind": "bowl"})

for _ in range(15):
    trial = study.ask()
    x = trial.params["x"]
    study.tell(trial, x**2 if trial.params["kind"] == "bowl" else abs(x - 2) - 1)

print(study.best.params, study.best.value)
