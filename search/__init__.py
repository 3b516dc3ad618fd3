"""HOW the search goes: the study, its strategies, its pruners, its workers, its storage and its tracker."""
