"""Tables of change rates and of the scores of codes."""

from jaxedit.evaluation.code_scores import LABELS
from jaxedit.evaluation.report.contact_sheet import attribute_text
from jaxedit.evaluation.report.page import Table, interval_text, number_text
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.statistics import Estimate


def rate_tables(evaluation: Evaluation) -> list[Table]:
    """TCR, APR and IPS at the amounts of equal change: a table for each target, a row for each method."""
    networks = [
        name
        for name in evaluation.request.identity_networks
        if any(name in cell.rates.identity_preservation for cell in evaluation.cells.values())
    ]
    interval = "95 % interval"
    heads = [part for name in networks for part in (_identity_head(name), interval)]
    head = ("method", "TCR [%]", interval, "APR [%]", interval, *heads)
    tables = []
    for attribute in evaluation.targets:
        rows = []
        for method in evaluation.methods:
            cell = evaluation.cells.get((method, attribute))
            if cell is None:
                continue
            rates = cell.rates
            row = [method, *_percent(rates.target_change), *_percent(rates.attribute_preservation)]
            for name in networks:
                score = rates.identity_preservation.get(name)
                row += ["–", "–"] if score is None else [number_text(score.value, 3), interval_text(score, 3)]
            rows.append(tuple(row))
        tables.append(Table(f"{attribute_text(attribute).capitalize()}, at equal change", head, tuple(rows)))
    return tables


def code_tables(evaluation: Evaluation) -> list[Table]:
    """DCI, MIG and SAP, a row for each method."""
    codes = evaluation.codes
    if codes is None:
        return []
    names = tuple(codes.rows[LABELS])
    rows = [(row, *(number_text(scores[name], 3) for name in names)) for row, scores in codes.rows.items()]
    heads = (name.upper() if len(name) == 3 else name for name in names)
    title = f"Codes of {', '.join(map(attribute_text, codes.attributes))}"
    return [Table(title, ("codes", *heads), tuple(rows))]


def _percent(rate: Estimate) -> tuple[str, str]:
    hundredfold = Estimate(100 * rate.value, 100 * rate.low, 100 * rate.high, rate.samples)
    return number_text(hundredfold.value, 1), interval_text(hundredfold, 1)


def _identity_head(network: str) -> str:
    return "IPS" if network == "identity" else f"IPS by {network}"
