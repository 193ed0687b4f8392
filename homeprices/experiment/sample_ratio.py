"""Test for sample ratio mismatch (SRM): are visitors split between the variants as planned?"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from homeprices.experiment.confidence_sequences import Numbers, _plain


def sample_ratio_log_evidence(counts: Numbers, shares: Numbers, *, concentration: float) -> Numbers:
    """The logarithm of the evidence against a split by `shares`: a mismatch at rate alpha when above log(1/alpha).

    `counts` and `shares` have the arms along their last axis. The prior is a Dirichlet around the shares, with the
    weight of `concentration` visitors. Lindon and Malek, Anytime-valid inference for multinomial count data,
    arXiv 2011.03567: the Bayes factor of their section 2. Evidence of independent strata adds up.
    """
    counts, shares = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    prior = concentration * shares
    total = counts.sum(axis=-1)
    log_beta = (gammaln(prior + counts) - gammaln(prior)).sum(axis=-1)
    log_beta -= gammaln(concentration + total) - gammaln(concentration)
    return _plain(log_beta - (counts * np.log(shares)).sum(axis=-1))
