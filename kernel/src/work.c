/* What frontrow/core/engine.py and frontrow/core/signs.py make of a frame's columns before its events are taken: arrays of numbers. */

#include "kernel.h"

enum { KNOWN = 256 }; /* pairs of a kind and facts that are found without asking the dictionary */

/* Hold an array of `count` numbers of eight bytes that is to be written. */
static int hold_numbers(PyObject *array, Py_ssize_t count, Py_buffer *view)
{
    if (hold_array(array, 8, 1, view) < 0) {
        return -1;
    }
    if (view->len != count * 8) {
        PyErr_SetString(PyExc_ValueError, "the columns differ in length");
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static int takes_lists(PyObject *const *args, Py_ssize_t given, Py_ssize_t wanted, Py_ssize_t lists)
{
    if (given != wanted) {
        PyErr_Format(PyExc_TypeError, "%zd arguments are wanted", wanted);
        return 0;
    }
    for (Py_ssize_t i = 0; i < lists; i++) {
        if (!PyList_Check(args[i]) || PyList_GET_SIZE(args[i]) != PyList_GET_SIZE(args[0])) {
            PyErr_SetString(PyExc_TypeError, "lists of one length are wanted");
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(whole_numbers_doc,
    "whole_numbers(column, others, numbers)\n--\n\n"
    "Write a list of whole numbers into an array of int64; where one is None, that of the list `others` stands for it.");

static PyObject *whole_numbers(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Py_buffer held;

    if (!takes_lists(args, given, 3, 2) || hold_numbers(args[2], PyList_GET_SIZE(args[0]), &held) < 0) {
        return NULL;
    }
    int64_t *numbers = held.buf;
    for (Py_ssize_t i = 0, count = held.len / 8; i < count; i++) {
        PyObject *value = PyList_GET_ITEM(args[0], i);
        int beyond;

        value = value == Py_None ? PyList_GET_ITEM(args[1], i) : value;
        if (!PyLong_Check(value)) { /* another object's __index__ could change the list */
            PyErr_SetString(PyExc_TypeError, "whole numbers are wanted");
            PyBuffer_Release(&held);
            return NULL;
        }
        numbers[i] = PyLong_AsLongLongAndOverflow(value, &beyond); /* times are of more than one digit, where Python 3.11 is slow without */
        if (beyond) {
            PyErr_SetString(PyExc_OverflowError, "a number of more than 64 bits");
            PyBuffer_Release(&held);
            return NULL;
        }
    }
    PyBuffer_Release(&held);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(sign_numbers_doc,
    "sign_numbers(kinds, facts, known, numbers)\n--\n\n"
    "Write the number that `known` has of each (kind, facts) into an array of int64; return whether it has all.");

static PyObject *sign_numbers(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    struct {
        PyObject *kind; /* the list's own */
        int64_t facts, number;
    } found[KNOWN] = {0};
    Py_buffer held;

    if (!takes_lists(args, given, 4, 2) || hold_numbers(args[3], PyList_GET_SIZE(args[0]), &held) < 0) {
        return NULL;
    }
    if (!PyDict_CheckExact(args[2])) {
        PyErr_SetString(PyExc_TypeError, "a dictionary is wanted");
        goto fail;
    }
    int64_t *numbers = held.buf;
    for (Py_ssize_t i = 0, count = held.len / 8; i < count; i++) {
        PyObject *kind = PyList_GET_ITEM(args[0], i), *facts = PyList_GET_ITEM(args[1], i);
        if (!PyUnicode_CheckExact(kind) || !PyLong_CheckExact(facts)) { /* no comparison of theirs may change the lists */
            PyErr_SetString(PyExc_TypeError, "texts and whole numbers are wanted");
            goto fail;
        }
        int64_t mask = PyLong_AsLongLong(facts);
        if (mask == -1 && PyErr_Occurred()) {
            goto fail;
        }
        size_t place = (((uintptr_t)kind >> 4) + (uint64_t)mask * 31) % KNOWN;

        if (found[place].kind != kind || found[place].facts != mask) { /* neighbours share the objects of their kinds */
            PyObject *pair = PyTuple_Pack(2, kind, facts);
            PyObject *number = pair == NULL ? NULL : PyDict_GetItemWithError(args[2], pair);

            Py_XDECREF(pair);
            if (number == NULL) {
                if (PyErr_Occurred()) {
                    goto fail;
                }
                PyBuffer_Release(&held);
                Py_RETURN_FALSE;
            }
            found[place].kind = kind;
            found[place].facts = mask;
            found[place].number = PyLong_AsLongLong(number);
            if (found[place].number == -1 && PyErr_Occurred()) {
                goto fail;
            }
        }
        numbers[i] = found[place].number;
    }
    PyBuffer_Release(&held);
    Py_RETURN_TRUE;
fail:
    PyBuffer_Release(&held);
    return NULL;
}

PyDoc_STRVAR(event_amounts_doc,
    "event_amounts(counts, values, bits, like, gift, amounts)\n--\n\n"
    "Write how much each event adds into an array of float64: a like its count, a gift 1 and a hundredth of its value, others 1.");

static PyObject *event_amounts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Py_buffer held, of_bits;

    if (!takes_lists(args, given, 6, 2) || hold_numbers(args[5], PyList_GET_SIZE(args[0]), &held) < 0) {
        return NULL;
    }
    if (hold_array(args[2], 8, 0, &of_bits) < 0) {
        PyBuffer_Release(&held);
        return NULL;
    }
    const int64_t *bits = of_bits.buf;
    int64_t like = PyLong_AsLongLong(args[3]), gift = PyLong_AsLongLong(args[4]);
    double *amounts = held.buf;
    PyObject *result = NULL;

    if (PyErr_Occurred()) {
        goto done;
    }
    if (of_bits.len != held.len) {
        PyErr_SetString(PyExc_ValueError, "the columns differ in length");
        goto done;
    }
    for (Py_ssize_t i = 0, count = held.len / 8; i < count; i++) {
        PyObject *value = bits[i] & like ? PyList_GET_ITEM(args[0], i) : bits[i] & gift ? PyList_GET_ITEM(args[1], i) : Py_None;

        amounts[i] = 1.0;
        if (value != Py_None) {
            double number = PyLong_AsDouble(value);

            if (number == -1.0 && PyErr_Occurred()) {
                goto done;
            }
            amounts[i] = bits[i] & like ? number : 1.0 + (number > 0.0 ? number : 0.0) / 100.0;
        }
    }
    result = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&of_bits);
    PyBuffer_Release(&held);
    return result;
}

PyDoc_STRVAR(count_is_doc,
    "count_is(column, value)\n--\n\n"
    "Return how often the very object stands in a list: of None, True and False the same as how often it equals them, without asking.");

static PyObject *count_is(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    Py_ssize_t found = 0;

    if (!takes_lists(args, given, 2, 1)) {
        return NULL;
    }
    for (Py_ssize_t i = 0, count = PyList_GET_SIZE(args[0]); i < count; i++) {
        found += PyList_GET_ITEM(args[0], i) == args[1];
    }
    return PyLong_FromSsize_t(found);
}

PyDoc_STRVAR(all_same_doc,
    "all_same(column)\n--\n\n"
    "Return whether all of a list's values, texts or None, are equal. One object is compared once as long as it comes again and again.");

static PyObject *all_same(PyObject *Py_UNUSED(module), PyObject *column)
{
    if (!takes_lists(&column, 1, 1, 1)) {
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(column);
    PyObject *first = count ? PyList_GET_ITEM(column, 0) : NULL, *equal = first;
    for (Py_ssize_t i = 1; i < count; i++) {
        PyObject *value = PyList_GET_ITEM(column, i);

        if (value == first || value == equal) {
            continue;
        }
        if (value == Py_None || first == Py_None) {
            Py_RETURN_FALSE;
        }
        if (!PyUnicode_Check(value) || !PyUnicode_Check(first)) {
            PyErr_SetString(PyExc_TypeError, "texts are wanted");
            return NULL;
        }
        if (PyUnicode_GET_LENGTH(value) != PyUnicode_GET_LENGTH(first) || PyUnicode_Compare(value, first) != 0) {
            Py_RETURN_FALSE;
        }
        equal = value;
    }
    Py_RETURN_TRUE;
}

PyMethodDef work_methods[] = {
    {"all_same", all_same, METH_O, all_same_doc},
    {"count_is", (PyCFunction)(void (*)(void))count_is, METH_FASTCALL, count_is_doc},
    {"event_amounts", (PyCFunction)(void (*)(void))event_amounts, METH_FASTCALL, event_amounts_doc},
    {"sign_numbers", (PyCFunction)(void (*)(void))sign_numbers, METH_FASTCALL, sign_numbers_doc},
    {"whole_numbers", (PyCFunction)(void (*)(void))whole_numbers, METH_FASTCALL, whole_numbers_doc},
    {NULL, NULL, 0, NULL},
};
