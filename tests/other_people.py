"""Functions of SciPy, scikit-learn and array-api-extra called with traced arrays: a script for a process of its own.

``python tests/other_people.py`` prints, as JSON, what becomes of each expression on each backend: the relative errors
of value, gradient and directional derivative, or the error that it raises. Its own process, since SciPy reads
SCIPY_ARRAY_API when it is imported. In the expressions x is the array to differentiate with respect to, w, v (of x's
shape), b (two of x's rows) and labels are constants made with ``arrmb.namespace(x).asarray``; raw is one that is not.
"""

import json
import os
import warnings

# What x is: m a 5 x 3 matrix, v a vector of 6, q a quaternion, r three numbers, l 9 x 3.
WORKS = """
m scipy.special.logsumexp(x, axis=0)
m scipy.special.softmax(x, axis=1)
m scipy.special.log_softmax(x, axis=1)
m scipy.special.xlogy(w, x)
m scipy.special.rel_entr(w, x)
m scipy.special.expit(x)
m scipy.special.logit(x)
m scipy.special.entr(x)
m scipy.special.erf(x)
m scipy.special.ndtr(x)
m scipy.special.log_ndtr(x)
m scipy.special.ndtri(x)
m scipy.special.gammaln(x)
m scipy.special.psi(x)
m scipy.special.polygamma(1, x)
m scipy.special.gammainc(w, x)
m scipy.special.chdtrc(w, x)
m scipy.special.gamma(x)
m scipy.special.stdtr(w, x)
m scipy.special.stdtrit(1.0 + w, x)
m scipy.stats.gmean(x)
m scipy.stats.hmean(x)
m scipy.stats.pmean(x, 2.5)
m scipy.stats.skew(x)
m scipy.stats.kurtosis(x)
m scipy.stats.variation(x)
m scipy.stats.zscore(x)
m scipy.stats.gzscore(x)
m scipy.stats.zmap(w, x)
m scipy.stats.moment(x, 3)
m scipy.stats.sem(x)
m scipy.stats.tvar(x)
m scipy.stats.gstd(x)
m scipy.stats.kstat(x, 3)
m scipy.stats.lmoment(x)
m scipy.stats.iqr(x)
m scipy.stats.quantile(x, 0.3)
m scipy.stats.median_abs_deviation(x)
m scipy.stats.circmean(x)
m scipy.stats.circstd(x)
m scipy.stats.entropy(x)
m scipy.stats.entropy(w, x)
m scipy.stats.differential_entropy(x)
m scipy.stats.boxcox_llf(0.4, x)
m scipy.stats.directional_stats(x).mean_direction
m scipy.stats.pearsonr(x, w).statistic
m scipy.stats.pearsonr(x, w).pvalue
m scipy.stats.ttest_1samp(x, 0.4).pvalue
m scipy.stats.ttest_ind(x, w).pvalue
m scipy.stats.ttest_rel(x, w).pvalue
m scipy.stats.f_oneway(x, w).pvalue
m scipy.stats.bartlett(x, w).pvalue
m scipy.stats.jarque_bera(x, axis=0).pvalue
l scipy.stats.skewtest(x).pvalue
l scipy.stats.normaltest(x).pvalue
m scipy.stats.power_divergence(x).statistic
m scipy.stats.combine_pvalues(x).statistic
v scipy.fft.rfft(scipy.fft.fftshift(x))
v scipy.fft.hfft(x)
v scipy.fft.fht(x, 0.1, 0.2)
m scipy.signal.fftconvolve(x, w)
m scipy.signal.hilbert2(x)
v scipy.signal.hilbert(x)
v scipy.signal.envelope(x)
v scipy.signal.resample(x, 9)
v scipy.signal.freqz(x, worN=8)[1]
v scipy.signal.correlate(x, v, method="fft") # not torch: no steps below 0 in slices
m scipy.cluster.vq.whiten(x)
q scipy.spatial.transform.Rotation.from_quat(x).as_matrix()
r scipy.spatial.transform.Rotation.from_rotvec(x).as_quat()
r scipy.spatial.transform.Rotation.from_euler("xyz", x).apply(x)
q (scipy.spatial.transform.Rotation.from_quat(x) ** 2).as_rotvec()
v scipy.integrate.trapezoid(x, dx=0.1)
v scipy.integrate.cumulative_trapezoid(x, dx=0.1)
v scipy.optimize.rosen(x)
v scipy.optimize.rosen_der(x)
v scipy.differentiate.derivative(lambda t: t**3, x).df # not strict: it has no x[indices] = value
m sklearn.metrics.mean_squared_error(w, x, multioutput="raw_values")
m sklearn.metrics.root_mean_squared_error(w, x, multioutput="raw_values")
m sklearn.metrics.mean_absolute_error(w, x, multioutput="raw_values")
m sklearn.metrics.mean_squared_log_error(w, x, multioutput="raw_values")
m sklearn.metrics.mean_absolute_percentage_error(w, x, multioutput="raw_values")
m sklearn.metrics.mean_pinball_loss(w, x, multioutput="raw_values")
m sklearn.metrics.r2_score(w, x, multioutput="raw_values")
m sklearn.metrics.explained_variance_score(w, x, multioutput="raw_values")
m sklearn.metrics.pairwise.euclidean_distances(x, w)
m sklearn.metrics.pairwise.cosine_similarity(x, w)
m sklearn.metrics.pairwise.rbf_kernel(x, w)
m sklearn.metrics.pairwise.polynomial_kernel(x, w)
m sklearn.metrics.pairwise.sigmoid_kernel(x, w)
m sklearn.metrics.pairwise.laplacian_kernel(x, w)
m sklearn.metrics.pairwise.chi2_kernel(x, w)
m sklearn.metrics.pairwise.paired_cosine_distances(x, w)
m sklearn.metrics.pairwise.manhattan_distances(x, w)
m sklearn.preprocessing.normalize(x)
m sklearn.preprocessing.Normalizer().fit_transform(x)
m sklearn.preprocessing.MinMaxScaler().fit_transform(x)
m sklearn.preprocessing.MaxAbsScaler().fit_transform(x)
m sklearn.preprocessing.PolynomialFeatures().fit_transform(x)
m sklearn.decomposition.PCA(2, svd_solver="full").fit(x).explained_variance_
m sklearn.decomposition.PCA(2, svd_solver="full").fit_transform(x) ** 2
m sklearn.linear_model.Ridge(solver="svd").fit(x, w[:, 0]).coef_
l sklearn.discriminant_analysis.LinearDiscriminantAnalysis().fit(x, labels).coef_
m array_api_extra.apply_where(x > 0.5, x, lambda t: t**2, lambda t: t**3)
m array_api_extra.at(x)[0, :].add(x[1, :], copy=True)
m array_api_extra.atleast_nd(x, ndim=3)
m array_api_extra.expand_dims(x, axis=(0, 2))
m array_api_extra.cov(x) # strict only: name
m array_api_extra.kron(x, w) # strict only: name
v array_api_extra.create_diagonal(x) # strict only: name
m array_api_extra.pad(x, 1) # strict only: name
m array_api_extra.sinc(x) # strict only: name
"""
# Those that raise, and a pattern of what the error says; NaN: a gradient that is not finite.
RAISES = """
m sklearn.metrics.mean_squared_error(w, x) # cannot become a Python float
m sklearn.metrics.r2_score(w, x) # cannot become a Python float
v sklearn.metrics.max_error(v, x) # cannot become a Python float
v sklearn.metrics.mean_tweedie_deviance(v, x) # cannot become a Python float
m sklearn.preprocessing.scale(x) # cannot become a NumPy array|must be a dtype|is_floating_point
m sklearn.preprocessing.RobustScaler().fit_transform(x) # cannot become a NumPy array|must be a dtype|is_floating_point
m sklearn.metrics.median_absolute_error(w, x) # cannot become a NumPy array|'Device'|'cpu'
m scipy.special.i0(x) # cannot become a NumPy array
m scipy.special.betaln(w, x) # cannot become a NumPy array
m scipy.special.log_expit(x) # a function of numpy met a traced array
m scipy.special.gammainc(x, w) # no rule for 'gammainc' with respect to its parameters
v scipy.stats.expectile(x) # cannot become a NumPy array
m scipy.stats.Normal().logpdf(x) # cannot become a NumPy array
v scipy.fft.dct(x) # cannot become a NumPy array
v scipy.signal.detrend(x) # cannot become a NumPy array
v scipy.signal.periodogram(x)[1] # cannot become a NumPy array
v scipy.integrate.simpson(x, dx=0.1) # cannot become a NumPy array
m scipy.ndimage.gaussian_filter(x, 1.0) # cannot become a NumPy array
m scipy.linalg.expm(x[:3, :]) # cannot become a NumPy array
m scipy.cluster.vq.vq(x, b)[1] # cannot become a NumPy array
v scipy.interpolate.CubicSpline(grid, x)(grid) # cannot become a NumPy array
m scipy.special.xlogy(raw, x) # Multiple namespaces
m sklearn.preprocessing.StandardScaler().fit_transform(x) # NaN
"""


def entries(table):
    """``(kind, expression, note)`` for each line."""
    for line in table.strip().splitlines():
        call, _, note = line.partition(" #")
        kind, _, expression = call.partition(" ")
        yield kind, expression, note.strip()


def main():
    os.environ["SCIPY_ARRAY_API"] = "1"
    warnings.simplefilter("ignore")
    import importlib

    import numpy as np

    import arrmb
    from arrmb.testing import backends

    scope = {}
    for name in """scipy.special scipy.stats scipy.fft scipy.signal scipy.cluster.vq scipy.spatial.transform
        scipy.integrate scipy.optimize scipy.differentiate scipy.ndimage scipy.linalg scipy.interpolate array_api_extra
        sklearn sklearn.metrics.pairwise sklearn.preprocessing sklearn.decomposition sklearn.linear_model
        sklearn.discriminant_analysis""".split():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        top = name.partition(".")[0]
        scope[top] = importlib.import_module(top)
    if "sklearn" in scope:
        scope["sklearn"].set_config(array_api_dispatch=True)
    rng = np.random.default_rng(1)
    data = {"m": (5, 3), "v": (6,), "l": (9, 3)}
    data = {kind: (rng.uniform(0.2, 0.8, shape), rng.uniform(0.2, 0.8, shape)) for kind, shape in data.items()}
    data |= {"q": (rng.standard_normal(4),) * 2, "r": (rng.standard_normal(3),) * 2}

    def evaluate(expression, x, constants):
        """The sum of all entries of the result, each with its own weight."""
        result = eval(expression, {**scope, **constants, "x": x})
        total = 0.0
        for y in result if isinstance(result, tuple) else (result,):
            xp = arrmb.namespace(y)
            if arrmb._xp.is_complex(y):
                y = xp.real(y) + 2.0 * xp.imag(y)
            below = arrmb._xp.raw_namespace(xp)
            weights = below.asarray(np.reshape(np.cos(1.0 + np.arange(float(np.prod(y.shape)))), tuple(y.shape)))
            total = total + xp.sum(y * weights)
        return total

    def constants_of(kind, asarray, raw):
        w = data[kind][1]
        found = {"w": w, "v": w, "b": w[:2], "grid": np.arange(6.0), "labels": np.arange(w.shape[0]) % 2}
        return {**{k: asarray(v) for k, v in found.items()}, "raw": raw(w)}

    def errors(backend, kind, expression, value, slope):
        asarray, x = backend.xp.asarray, data[kind][0]

        def f(x):
            traced = arrmb.namespace(x)
            return evaluate(expression, x, constants_of(kind, lambda c: traced.asarray(asarray(c)), asarray))

        found, gradient = arrmb.value_and_grad(f)(asarray(x))
        dx = np.cos(np.arange(float(x.size))).reshape(x.shape)
        along = float(arrmb.jvp(f, (asarray(x),), (asarray(dx),))[1])
        gradient = arrmb._lapack.to_host(gradient)
        size = np.abs(slope).max()
        return {
            "value": float(abs(float(found) - value) / abs(value)),
            "gradient": float(np.abs(gradient - slope).max() / size),
            "jvp": float(abs(along - np.sum(gradient * dx)) / (size * np.abs(dx).sum())),
        }

    report = {}
    for kind, expression, _ in (*entries(WORKS), *entries(RAISES)):
        x, h = data[kind][0], 1e-5
        constants = constants_of(kind, np.asarray, np.asarray)
        try:
            value, slope = float(evaluate(expression, x.copy(), constants)), np.zeros_like(x)
            for i in np.ndindex(x.shape):
                e = np.zeros_like(x)
                e[i] = h
                ends = [float(evaluate(expression, x + s * e, constants)) for s in (1.0, -1.0)]
                slope[i] = (ends[0] - ends[1]) / (2.0 * h)
        except (NameError, AttributeError) as error:  # the package, or the function, is not in this version
            report[expression] = {"missing": str(error)}
            continue
        except TypeError as error:
            if "got float" not in str(error):
                raise
            value, slope = np.nan, np.full(x.shape, np.nan)  # a Python float, which `evaluate` does not take
        report[expression] = {}
        for backend in backends():
            if backend.name == "cupy":
                continue
            try:
                report[expression][backend.name] = errors(backend, kind, expression, value, slope)
            except Exception as error:
                report[expression][backend.name] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
