"""Tables of change rates and of the scores of codes."""

from jaxedit.evaluation.code_scores import LABELS
from jaxedit.evaluation.report.contact_sheet import attribute_text
from jaxedit.evaluation.report.page import Table, interval_text, number_text
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.statistics import Estimate


def rate_tables(evaluation: Evaluation) -> list[Table]:
    """TCR, APR and IPS of each method at the amounts of equal change, a row for each target."""
    networks = [
        name
        for name in evaluation.request.identity_networks
        if any(name in cell.rates.identity_preservation for cell in evaluation.cells.values())
    ]
    rows = []
    for attribute in evaluation.targets:
        for method in evaluation.methods:
            cell = evaluation.cells.get((method, attribute))
            if cell is None:
                continue
            rates = cell.rates
            row = [attribute_text(attribute), method]
            row += [*_percent(rates.target_change), *_percent(rates.attribute_preservation)]
            for name in networks:
                score = rates.identity_preservation.get(name)
                row += ["–", "–"] if score is None else [number_text(score.value, 3), interval_text(score, 3)]
            rows.append(tuple(row))
    interval = "95 % interval"
    heads = [part for name in networks for part in (_identity_head(name), interval)]
    head = ("target", "method", "TCR [%]", interval, "APR [%]", interval, *heads)
    return [Table("At equal change", head, tuple(rows))] if rows else []


def code_tables(evaluation: Evaluation) -> list[Table]:
    """DCI, MIG and SAP, a row for each method."""
    codes = evaluation.codes
    if codes is None:
        return []
    names = tuple(codes.rows[LABELS])
    rows = [(row, *(number_text(scores[name], 3) for name in names)) for row, scores in codes.rows.items()]
    return [
        Table(f"Codes of {', '.join(map(attribute_text, codes.attributes))}", ("codes", *names), tuple(rows))
    ]


def _percent(rate: Estimate) -> tuple[str, str]:
    hundredfold = Estimate(100 * rate.value, 100 * rate.low, 100 * rate.high, rate.samples)
    return number_text(hundredfold.value, 1), interval_text(hundredfold, 1)


def _identity_head(network: str) -> str:
    return "IPS" if network == "identity" else f"IPS by {network}"
