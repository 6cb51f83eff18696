"""A task's process parses its Dag file for one Dag of it; building each of the others would cost as much again."""

from airflow.sdk import get_parsing_context


def needed(dag_id: str) -> bool:
    """Whether this parse wants the Dag: the Dag processor wants all, a task only its own."""
    wanted = get_parsing_context().dag_id
    return wanted is None or wanted == dag_id
