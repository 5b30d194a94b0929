/* The module frontrow_kernel: what its files give, under one name. */

#include "kernel.h"

#include <structmember.h>

int hold_array(PyObject *array, Py_ssize_t itemsize, int writable, Py_buffer *view)
{
    if (PyObject_GetBuffer(array, view, writable ? PyBUF_CONTIG : PyBUF_CONTIG_RO) < 0) {
        return -1;
    }
    if (view->itemsize != itemsize) {
        PyErr_Format(PyExc_TypeError, "numbers of %zd bytes wanted, not of %zd", itemsize, view->itemsize);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

void find_slot(Attribute *slot, PyTypeObject *type, PyObject *name)
{
    PyObject *found = PyObject_GetAttr((PyObject *)type, name);

    slot->type = type;
    slot->offset = -1;
    if (found == NULL) {
        PyErr_Clear(); /* an attribute of the object alone */
    } else if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        const PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;

        if (member->type == T_OBJECT_EX && !(member->flags & READONLY)) {
            slot->offset = member->offset;
        }
    }
    Py_XDECREF(found);
}

int hold_columns(PyObject *const *given, PyObject **held, int count)
{
    for (int i = 0; i < count; i++) {
        held[i] = PySequence_Fast(given[i], "a column is a sequence");
        if (held[i] == NULL) {
            return -1;
        }
        if (PySequence_Fast_GET_SIZE(held[i]) != PySequence_Fast_GET_SIZE(held[0])) {
            PyErr_SetString(PyExc_ValueError, "the columns differ in length");
            return -1;
        }
    }
    return 0;
}

static int kernel_exec(PyObject *module)
{
    PyMethodDef *tables[] = {columns_methods, directory_methods, packing_methods, regression_methods,
                             rooms_methods,   telling_methods,   texts_methods,   work_methods};

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (PyModule_AddFunctions(module, tables[i]) < 0) {
            return -1;
        }
    }
    if (add_crowd(module) < 0 || add_seen(module) < 0 || add_taking(module) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "INTERFACE", KERNEL_INTERFACE);
}

static PyModuleDef_Slot kernel_slots[] = {{Py_mod_exec, kernel_exec}, {0, NULL}};

static struct PyModuleDef kernel_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "frontrow_kernel",
    .m_doc = "The inner loops of Frontrow, compiled; see frontrow/core/kernel.py.",
    .m_slots = kernel_slots,
};

PyMODINIT_FUNC PyInit_frontrow_kernel(void)
{
    return PyModuleDef_Init(&kernel_module);
}
