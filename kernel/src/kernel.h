/* What the kernel's files share. Each has a table of methods, which module.c puts into the module. */

#ifndef FRONTROW_KERNEL_H
#define FRONTROW_KERNEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Raise with any change of what a function takes, gives or means; frontrow/core/kernel.py names the one that it knows. */
#define KERNEL_INTERFACE 16

extern PyMethodDef directory_methods[];
extern PyMethodDef regression_methods[];
extern PyMethodDef rooms_methods[];
extern PyMethodDef columns_methods[];
extern PyMethodDef packing_methods[];
extern PyMethodDef telling_methods[];
extern PyMethodDef texts_methods[];
extern PyMethodDef work_methods[];

int add_crowd(PyObject *module); /* the type Talks */
int add_seen(PyObject *module); /* the type SeenTable */
int add_taking(PyObject *module); /* the type Taker */

/* Hold a contiguous array of numbers of `itemsize` bytes; 0, or -1 with an exception. Release it by PyBuffer_Release(). */
int hold_array(PyObject *array, Py_ssize_t itemsize, int writable, Py_buffer *view);

/* Hold columns of one length; -1 with an exception. What is not NULL is to be let go. */
int hold_columns(PyObject *const *given, PyObject **held, int count);

/* Where an attribute lies in objects of a type, if the type has slots: asked for once a call, and then read as C reads a structure. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t offset; /* or -1: it is an attribute of another kind */
} Attribute;

void find_slot(Attribute *slot, PyTypeObject *type, PyObject *name);

static inline PyObject **slot_in(Attribute *slot, PyObject *object, PyObject *name)
{
    if (Py_TYPE(object) != slot->type) {
        find_slot(slot, Py_TYPE(object), name);
    }
    PyObject **value = slot->offset < 0 ? NULL : (PyObject **)((char *)object + slot->offset);
    return value == NULL || *value == NULL ? NULL : value;
}

/* An object's attribute, as a new reference; NULL with an exception. */
static inline PyObject *get_slot(Attribute *slot, PyObject *object, PyObject *name)
{
    PyObject **value = slot_in(slot, object, name);

    return value == NULL ? PyObject_GetAttr(object, name) : Py_NewRef(*value);
}

static inline int set_slot(Attribute *slot, PyObject *object, PyObject *name, PyObject *value)
{
    PyObject **its = slot_in(slot, object, name);

    if (its == NULL) {
        return PyObject_SetAttr(object, name, value);
    }
    PyObject *before = *its;
    *its = Py_NewRef(value);
    Py_DECREF(before);
    return 0;
}

static inline int same_text(PyObject *one, PyObject *other)
{
    if (one == other) {
        return 1;
    }
    if (!PyUnicode_Check(one) || !PyUnicode_Check(other)) { /* None */
        return 0;
    }
    return PyUnicode_GET_LENGTH(one) == PyUnicode_GET_LENGTH(other) && PyUnicode_KIND(one) == PyUnicode_KIND(other) &&
           memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)(PyUnicode_GET_LENGTH(one) * PyUnicode_KIND(one))) == 0;
}

#endif
