/* How the scores of many viewers are written down. frontrow/core/explaining.py, core/engine.py and app/replaying.py say what for, and do
the same with numpy and Python. Numbers come as JSON that another has written, so that there is one way alone to write them. */

#include "writing.h"

#include <math.h>

#define MOST_FEATURES 64
#define MOST_TOLD MOST_FEATURES
#define LINE 1024      /* bytes of a line, as a guess */
#define OF_A_NUMBER 24 /* bytes of a number of 64 bits, at most */

/* ---------------------------------------------------------------- the largest parts */

typedef struct {
    double size;
    Py_ssize_t feature;
} Part;

/* Find the largest of a row's parts, those of one size in the features' order and what is no number last; return how many. */
static int find_largest(const char *row, Py_ssize_t step, Py_ssize_t features, int told, Part *largest)
{
    int found = 0;

    for (Py_ssize_t feature = 0; feature < features; feature++) {
        double size = fabs(*(const double *)(row + feature * step));
        if (isnan(size)) {
            size = -1.0;
        }
        if (found == told && size <= largest[found - 1].size) {
            continue;
        }
        int place = found < told ? found++ : told - 1;
        for (; place > 0 && size > largest[place - 1].size; place--) {
            largest[place] = largest[place - 1];
        }
        largest[place].size = size;
        largest[place].feature = feature;
    }
    return found;
}

PyDoc_STRVAR(largest_doc,
    "largest_parts(parts, inputs, counts, features, logits, values, others)\n--\n\n"
    "Find the largest parts of each row that are not 0, and the sum of the row's others. parts, inputs: matrices (rows, features) of\n"
    "64-bit numbers; counts, others: by row, to be written: how many are told, and the sum. features, logits, values: so many by row\n"
    "as are to be told, to be written without gaps: which they are, the parts and the inputs. Returns how many that is of all rows.");

static PyObject *largest_parts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    enum { PARTS, INPUTS, COUNTS, FEATURES, LOGITS, VALUES, OTHERS, ARRAYS };
    Py_buffer held[ARRAYS];
    Part largest[MOST_TOLD];
    int holding = 0;
    Py_ssize_t written = 0;
    PyObject *result = NULL;

    if (count != ARRAYS) {
        PyErr_SetString(PyExc_TypeError, "seven arrays are wanted");
        return NULL;
    }
    for (; holding < ARRAYS; holding++) {
        int done = holding <= INPUTS ? PyObject_GetBuffer(args[holding], &held[holding], PyBUF_STRIDED_RO)
                                     : hold_array(args[holding], 8, 1, &held[holding]);
        if (done < 0) {
            goto done;
        }
    }
    const Py_buffer *parts = &held[PARTS], *inputs = &held[INPUTS];
    Py_ssize_t rows = held[COUNTS].len / 8, told = rows ? held[FEATURES].len / 8 / rows : 1;
    if (parts->ndim != 2 || inputs->ndim != 2 || parts->itemsize != 8 || inputs->itemsize != 8 || parts->shape[0] != rows ||
        inputs->shape[0] != rows || parts->shape[1] != inputs->shape[1] || parts->shape[1] > MOST_FEATURES ||
        told < 1 || told > MOST_TOLD || held[OTHERS].len != rows * 8) {
        PyErr_SetString(PyExc_ValueError, "the arrays differ in shape");
        goto done;
    }
    for (int each = FEATURES; each <= VALUES; each++) {
        if (held[each].len != rows * told * 8) {
            PyErr_SetString(PyExc_ValueError, "the arrays differ in length");
            goto done;
        }
    }
    int64_t *counts = held[COUNTS].buf, *features = held[FEATURES].buf;
    double *logits = held[LOGITS].buf, *values = held[VALUES].buf, *others = held[OTHERS].buf;
    for (Py_ssize_t row = 0; row < rows; row++) {
        const char *own = (const char *)parts->buf + row * parts->strides[0];
        const char *given = (const char *)inputs->buf + row * inputs->strides[0];
        int found = find_largest(own, parts->strides[1], parts->shape[1], (int)told, largest);
        Py_ssize_t before = written;
        uint64_t named = 0;
        double sum = 0.0;

        for (int i = 0; i < found; i++) {
            named |= (uint64_t)1 << largest[i].feature;
        }
        for (Py_ssize_t feature = 0; feature < parts->shape[1]; feature++) { /* in the features' order, as in Python */
            sum += named >> feature & 1 ? 0.0 : *(const double *)(own + feature * parts->strides[1]);
        }
        others[row] = sum;
        for (int i = 0; i < found; i++) {
            Py_ssize_t feature = largest[i].feature;
            double logit = *(const double *)(own + feature * parts->strides[1]);
            if (logit == 0.0) {
                continue;
            }
            features[written] = feature;
            logits[written] = logit;
            values[written] = *(const double *)(given + feature * inputs->strides[1]);
            written++;
        }
        counts[row] = written - before;
    }
    result = PyLong_FromSsize_t(written);
done:
    while (holding > 0) {
        PyBuffer_Release(&held[--holding]);
    }
    return result;
}

/* ---------------------------------------------------------------- numbers as they were written */

typedef struct {
    const char *at, *end;
} Numbers;

/* Begin with the first of "[1.5,null,2.0]"; -1 with an exception: that is no list. */
static int open_numbers(PyObject *bytes, Numbers *numbers)
{
    char *text;
    Py_ssize_t length;

    if (PyBytes_AsStringAndSize(bytes, &text, &length) < 0) {
        return -1;
    }
    if (length < 2 || text[0] != '[' || text[length - 1] != ']') {
        PyErr_SetString(PyExc_ValueError, "numbers are wanted, as a list in JSON");
        return -1;
    }
    numbers->at = text + 1;
    numbers->end = text + length - 1;
    return 0;
}

/* Give the next number, and how long it is; NULL with an exception: there is none. */
static inline const char *next_number(Numbers *numbers, Py_ssize_t *length)
{
    const char *number = numbers->at, *end = number;

    while (end < numbers->end && *end != ',') {
        end++;
    }
    if (end == number) {
        PyErr_SetString(PyExc_ValueError, "there are fewer numbers than are told");
        return NULL;
    }
    *length = end - number;
    numbers->at = end < numbers->end ? end + 1 : end;
    return number;
}

static inline int put(Sink *sink, const char *text, Py_ssize_t length)
{
    if (make_room(sink, length) < 0) {
        return -1;
    }
    memcpy(sink->at, text, (size_t)length);
    sink->at += length;
    return 0;
}

static inline int put_bytes(Sink *sink, PyObject *bytes)
{
    return put(sink, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
}

static inline int put_next(Sink *sink, Numbers *numbers)
{
    Py_ssize_t length;
    const char *number = next_number(numbers, &length);

    return number == NULL ? -1 : put(sink, number, length);
}

/* Put what the sink holds into a list, as bytes of its own, and begin again. */
static int add_line(Sink *sink, PyObject *lines, Py_ssize_t place)
{
    char *written = PyBytes_AS_STRING(sink->bytes);
    PyObject *line = PyBytes_FromStringAndSize(written, (char *)sink->at - written);

    if (line == NULL) {
        return -1;
    }
    PyList_SET_ITEM(lines, place, line);
    sink->at = (unsigned char *)written;
    return 0;
}

static int are_bytes(PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (!PyBytes_Check(PyList_GET_ITEM(list, i))) {
            return 0;
        }
    }
    return 1;
}

/* ---------------------------------------------------------------- reasons */

PyDoc_STRVAR(reasons_doc,
    "write_reasons(before, counts, features, logits, values, others, heads, other, last)\n--\n\n"
    "Return each row's reasons as JSON values with commas between them: those that it has before, so many of the parts, the sum of\n"
    "the others if it is not 0, and what all have last. counts, features: arrays of 64 bits; logits, values, others: lists in JSON;\n"
    "heads: what a feature's reason begins with, up to the logit; other: the same of the sum.");

static PyObject *write_reasons(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    enum { BEFORE, COUNTS, FEATURES, LOGITS, VALUES, OTHERS, HEADS, OTHER, LAST, GIVEN };
    Py_buffer counts, features;
    Numbers logits, values, others;
    Sink sink = {NULL};
    PyObject *lines = NULL;

    if (count != GIVEN || !PyList_Check(args[BEFORE]) || !PyList_Check(args[HEADS]) || !PyBytes_Check(args[OTHER]) ||
        !PyBytes_Check(args[LAST])) {
        PyErr_SetString(PyExc_TypeError, "lists of bytes, arrays, numbers in JSON and two pieces of bytes are wanted");
        return NULL;
    }
    if (open_numbers(args[LOGITS], &logits) < 0 || open_numbers(args[VALUES], &values) < 0 ||
        open_numbers(args[OTHERS], &others) < 0 || hold_array(args[COUNTS], 8, 0, &counts) < 0) {
        return NULL;
    }
    if (hold_array(args[FEATURES], 8, 0, &features) < 0) {
        PyBuffer_Release(&counts);
        return NULL;
    }
    Py_ssize_t rows = counts.len / 8, parts = features.len / 8, part = 0;
    int done = -1;
    lines = PyList_New(rows); /* from here on none of Python's code is run, which could change what was given */
    if (lines == NULL || open_sink(&sink, LINE) < 0) {
        goto done;
    }
    if (PyList_GET_SIZE(args[BEFORE]) != rows || !are_bytes(args[BEFORE]) || !are_bytes(args[HEADS])) {
        PyErr_SetString(PyExc_ValueError, "bytes before each row and of each feature are wanted");
        goto done;
    }
    for (Py_ssize_t row = 0; row < rows; row++) {
        PyObject *before = PyList_GET_ITEM(args[BEFORE], row);
        int64_t own = ((const int64_t *)counts.buf)[row];
        Py_ssize_t length;

        if (PyBytes_GET_SIZE(before) > 0 && (put_bytes(&sink, before) < 0 || put(&sink, ",", 1) < 0)) {
            goto done;
        }
        for (; own > 0; own--, part++) {
            int64_t feature = part < parts ? ((const int64_t *)features.buf)[part] : -1;
            if (feature < 0 || feature >= PyList_GET_SIZE(args[HEADS])) {
                PyErr_SetString(PyExc_ValueError, "a part of a feature that is not there");
                goto done;
            }
            if (put_bytes(&sink, PyList_GET_ITEM(args[HEADS], feature)) < 0 || put_next(&sink, &logits) < 0 ||
                put(&sink, ",\"value\":", 9) < 0 || put_next(&sink, &values) < 0 || put(&sink, "},", 2) < 0) {
                goto done;
            }
        }
        const char *rest = next_number(&others, &length);
        if (rest == NULL) {
            goto done;
        }
        if (!(length == 3 && memcmp(rest, "0.0", 3) == 0) && !(length == 4 && memcmp(rest, "-0.0", 4) == 0)) {
            if (put_bytes(&sink, args[OTHER]) < 0 || put(&sink, rest, length) < 0 || put(&sink, "},", 2) < 0) {
                goto done;
            }
        }
        if (put_bytes(&sink, args[LAST]) < 0 || add_line(&sink, lines, row) < 0) {
            goto done;
        }
    }
    done = 0;
done:
    Py_XDECREF(sink.bytes);
    PyBuffer_Release(&features);
    PyBuffer_Release(&counts);
    if (done < 0) {
        Py_CLEAR(lines);
    }
    return lines;
}

PyDoc_STRVAR(known_doc,
    "find_known(known, keys)\n--\n\n"
    "Return what a dictionary of bytes has for each row of a matrix, whose bytes are the key; None where it has nothing.");

static PyObject *find_known(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer keys;

    if (count != 2 || !PyDict_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a dictionary and a matrix are wanted");
        return NULL;
    }
    if (PyObject_GetBuffer(args[1], &keys, PyBUF_CONTIG_RO) < 0) {
        return NULL;
    }
    Py_ssize_t rows = keys.ndim == 2 ? keys.shape[0] : 0, width = rows ? keys.len / rows : 0;
    PyObject *found = NULL, *same = NULL, *value = NULL; /* the last row's key and what is known of it */
    if (keys.ndim != 2) {
        PyErr_SetString(PyExc_ValueError, "a matrix is wanted");
    } else {
        found = PyList_New(rows);
    }
    for (Py_ssize_t row = 0; found != NULL && row < rows; row++) {
        const char *key = (const char *)keys.buf + row * width;
        if (same == NULL || memcmp(PyBytes_AS_STRING(same), key, (size_t)width) != 0) {
            Py_XSETREF(same, PyBytes_FromStringAndSize(key, width));
            value = same == NULL ? NULL : PyDict_GetItemWithError(args[0], same);
            if (value == NULL && PyErr_Occurred()) {
                Py_CLEAR(found);
                break;
            }
            value = value == NULL ? Py_None : value;
        }
        PyList_SET_ITEM(found, row, Py_NewRef(value));
    }
    Py_XDECREF(same);
    PyBuffer_Release(&keys);
    return found;
}

/* ---------------------------------------------------------------- lines */

PyDoc_STRVAR(lines_doc,
    "write_lines(head, viewers, points, grades, probabilities, reasons)\n--\n\n"
    "Return a line of JSON for each viewer, as app/replaying.py has it. viewers, points, grades, reasons: lists of texts, whole numbers,\n"
    "texts that need no quoting, and bytes; probabilities: a list in JSON. None: one of them holds something else.");

static PyObject *write_lines(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    enum { HEAD, VIEWERS, POINTS, GRADES, PROBABILITIES, REASONS, GIVEN };
    Numbers probabilities;
    Sink sink = {NULL};
    int done = WRITTEN;

    if (count != GIVEN || !PyBytes_Check(args[HEAD]) || !PyList_Check(args[VIEWERS]) || !PyList_Check(args[POINTS]) ||
        !PyList_Check(args[GRADES]) || !PyList_Check(args[REASONS])) {
        PyErr_SetString(PyExc_TypeError, "bytes, lists and numbers in JSON are wanted");
        return NULL;
    }
    Py_ssize_t lines = PyList_GET_SIZE(args[VIEWERS]);
    PyObject *found = PyList_New(lines); /* from here on none of Python's code is run, which could change what was given */
    if (found == NULL || open_numbers(args[PROBABILITIES], &probabilities) < 0 || open_sink(&sink, LINE) < 0) {
        done = FAILED;
    } else if (PyList_GET_SIZE(args[VIEWERS]) != lines || PyList_GET_SIZE(args[POINTS]) != lines ||
               PyList_GET_SIZE(args[GRADES]) != lines || PyList_GET_SIZE(args[REASONS]) != lines) {
        PyErr_SetString(PyExc_ValueError, "the lists differ in length");
        done = FAILED;
    }
    for (Py_ssize_t i = 0; i < lines && done == WRITTEN; i++) {
        PyObject *viewer = PyList_GET_ITEM(args[VIEWERS], i), *grade = PyList_GET_ITEM(args[GRADES], i);
        PyObject *reasons = PyList_GET_ITEM(args[REASONS], i);
        char digits[OF_A_NUMBER];
        int64_t points;

        if (read_whole(PyList_GET_ITEM(args[POINTS], i), &points) != WRITTEN || !PyUnicode_CheckExact(viewer) ||
            !PyUnicode_CheckExact(grade) || !PyUnicode_IS_ASCII(grade) || !PyBytes_CheckExact(reasons) ||
            PyUnicode_GET_LENGTH(viewer) > PY_SSIZE_T_MAX / 16) {
            done = UNKNOWN;
            break;
        }
        if (put_bytes(&sink, args[HEAD]) < 0 || put(&sink, ",\"viewer\":\"", 11) < 0 ||
            make_room(&sink, ESCAPED * PyUnicode_GET_LENGTH(viewer)) < 0) {
            done = FAILED;
            break;
        }
        unsigned char *end = write_text(sink.at, viewer, 1);
        if (end == NULL) {
            done = FAILED;
            break;
        }
        sink.at = end;
        int written = PyOS_snprintf(digits, sizeof digits, "%lld", (long long)points);
        if (put(&sink, "\",\"points\":", 11) < 0 || put(&sink, digits, written) < 0 || put(&sink, ",\"grade\":\"", 10) < 0 ||
            put(&sink, (const char *)PyUnicode_DATA(grade), PyUnicode_GET_LENGTH(grade)) < 0 ||
            put(&sink, "\",\"probability\":", 16) < 0 || put_next(&sink, &probabilities) < 0 || put(&sink, ",\"reasons\":[", 12) < 0 ||
            put_bytes(&sink, reasons) < 0 || put(&sink, "]}\n", 3) < 0 || add_line(&sink, found, i) < 0) {
            done = FAILED;
        }
    }
    Py_XDECREF(sink.bytes);
    if (done != WRITTEN) {
        Py_CLEAR(found);
    }
    return done == UNKNOWN ? Py_NewRef(Py_None) : found;
}

PyMethodDef telling_methods[] = {
    {"find_known", (PyCFunction)(void (*)(void))find_known, METH_FASTCALL, known_doc},
    {"largest_parts", (PyCFunction)(void (*)(void))largest_parts, METH_FASTCALL, largest_doc},
    {"write_lines", (PyCFunction)(void (*)(void))write_lines, METH_FASTCALL, lines_doc},
    {"write_reasons", (PyCFunction)(void (*)(void))write_reasons, METH_FASTCALL, reasons_doc},
    {NULL, NULL, 0, NULL},
};
