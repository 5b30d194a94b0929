/* The steps of frontrow_models/regression.py: operation by operation, in its order, so that every bit is the same.

   CPython's ** of floats is the library's pow() of the base without its sign, where the power is even. */

#include "kernel.h"

#include <math.h>

#define FLAT 18.0
#define YOUNG 8.0

static double slope(double logit, int outcome)
{
    double margin = outcome ? logit : -logit;
    double size;

    if (margin > FLAT) {
        size = exp(-margin);
    } else if (margin < -FLAT) {
        size = 1.0;
    } else {
        size = 1.0 / (exp(margin) + 1.0);
    }
    return outcome ? -size : size;
}

/* regression_steps(weights, squares, means, intercept, mean_intercept, iterations, inputs, outcomes, counts, intercept_rates,
                    (rate, l2, first, least)) -> (intercept, mean_intercept)

   weights, squares and means are float64, one number per feature, and are changed; inputs are float64 (lessons, features);
   outcomes bool, counts and intercept_rates float64, one value per lesson; iterations are the lessons before. */
static PyObject *regression_steps(PyObject *self, PyObject *args)
{
    enum { WEIGHTS, SQUARES, MEANS, INPUTS, OUTCOMES, COUNTS, RATES, ARRAYS };
    PyObject *given[ARRAYS];
    double intercept, mean_intercept, rate, l2, first, least;
    Py_ssize_t iterations;
    Py_buffer held[ARRAYS];
    PyObject *found = NULL;
    int count = 0;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOddnOOOO(dddd)", &given[WEIGHTS], &given[SQUARES], &given[MEANS], &intercept,
                          &mean_intercept, &iterations, &given[INPUTS], &given[OUTCOMES], &given[COUNTS], &given[RATES],
                          &rate, &l2, &first, &least)) {
        return NULL;
    }
    for (; count < ARRAYS; count++) {
        if (hold_array(given[count], count == OUTCOMES ? 1 : 8, count <= MEANS, &held[count]) < 0) {
            goto done;
        }
    }
    double *w = held[WEIGHTS].buf, *s = held[SQUARES].buf, *m = held[MEANS].buf;
    const double *x = held[INPUTS].buf, *counts = held[COUNTS].buf, *rates = held[RATES].buf;
    const char *outcomes = held[OUTCOMES].buf;
    Py_ssize_t features = held[WEIGHTS].len / 8, lessons = held[OUTCOMES].len;

    if (held[SQUARES].len != features * 8 || held[MEANS].len != features * 8 || held[INPUTS].len != lessons * features * 8 ||
        held[COUNTS].len != lessons * 8 || held[RATES].len != lessons * 8) {
        PyErr_SetString(PyExc_ValueError, "the arrays differ in length");
        goto done;
    }
    for (Py_ssize_t lesson = 0; lesson < lessons; lesson++, x += features) {
        double total = 0.0, g, share = YOUNG / ((double)(iterations + lesson + 1) + YOUNG);

        if (share < least) {
            share = least;
        }

        for (Py_ssize_t i = 0; i < features; i++) {
            total += x[i] * w[i];
        }
        g = slope(total + intercept, outcomes[lesson] != 0) * counts[lesson];
        intercept -= rates[lesson] * g;
        mean_intercept += share * (intercept - mean_intercept);
        for (Py_ssize_t i = 0; i < features; i++) {
            double d = x[i] * g + w[i] * l2;

            s[i] = s[i] + pow(fabs(d), 2.0);
            w[i] = w[i] - rate / pow(s[i] + first, 0.5) * d;
            m[i] += share * (w[i] - m[i]);
        }
    }
    found = Py_BuildValue("(dd)", intercept, mean_intercept);
done:
    while (count > 0) {
        PyBuffer_Release(&held[--count]);
    }
    return found;
}

PyMethodDef regression_methods[] = {
    {"regression_steps", regression_steps, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
