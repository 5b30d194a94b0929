/* What the kernel's files share. Each has a table of methods, which module.c puts into the module. */

#ifndef FRONTROW_KERNEL_H
#define FRONTROW_KERNEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* Raise with any change of what a function takes, gives or means; frontrow/core/kernel.py names the one that it knows. */
#define KERNEL_INTERFACE 14

extern PyMethodDef crowd_methods[];
extern PyMethodDef directory_methods[];
extern PyMethodDef regression_methods[];
extern PyMethodDef rooms_methods[];
extern PyMethodDef columns_methods[];
extern PyMethodDef packing_methods[];
extern PyMethodDef telling_methods[];
extern PyMethodDef texts_methods[];
extern PyMethodDef work_methods[];

int add_taking(PyObject *module); /* the type Taker */

/* Hold a contiguous array of numbers of `itemsize` bytes; 0, or -1 with an exception. Release it by PyBuffer_Release(). */
int hold_array(PyObject *array, Py_ssize_t itemsize, int writable, Py_buffer *view);

#endif
