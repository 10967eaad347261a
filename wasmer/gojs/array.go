package gojs

import (
	"math"
	"slices"
	"strings"
)

// array is the slot of an Array. There are no sparse ones: each element up to the length takes its place.
type array struct{ elements []value }

func (g *guest) newArray(elements []value) (*object, error) {
	return g.makeArray(g.prototypes.array, elements)
}

func (g *guest) makeArray(prototype *object, elements []value) (*object, error) {
	if err := g.charge(objectSize + valueSize*int64(len(elements))); err != nil {
		return nil, err
	}
	return &object{prototype: prototype, slot: &array{elements}}, nil
}

// constructArray is new Array: of a length, or of elements.
func constructArray(g *guest, _ value, args []value) (value, error) {
	length, ok := argument(args, 0).(float64)
	if len(args) != 1 || !ok {
		return g.newArray(slices.Clone(args))
	}
	if length < 0 || length > math.MaxUint32 || length != math.Trunc(length) {
		return nil, g.newError("RangeError", "Invalid array length")
	}
	o, err := g.newArray(nil)
	if err != nil {
		return nil, err
	}
	return o, g.extend(o.slot.(*array), int64(length))
}

// extend adds elements that are undefined.
func (g *guest) extend(a *array, n int64) error {
	if n > math.MaxUint32 {
		return g.newError("RangeError", "Invalid array length")
	}
	if err := g.charge(valueSize * n); err != nil {
		return err
	}
	a.elements = append(a.elements, make([]value, n)...)
	return nil
}

func (g *guest) setLength(o *object, v value) error {
	a, ok := o.slot.(*array)
	if !ok {
		return nil // that of typed arrays stays as it is
	}
	length, ok := v.(float64)
	if !ok || length < 0 || length > math.MaxUint32 || length != math.Trunc(length) {
		return g.newError("RangeError", "Invalid array length")
	}
	if missing := int64(length) - int64(len(a.elements)); missing > 0 {
		return g.extend(a, missing)
	}
	clear(a.elements[int(length):])
	a.elements = a.elements[:int(length)]
	return nil
}

// arrayMethods are those that programs written in Go have a use for; the others are not there.
var arrayMethods = map[string]callable{
	"push":     method(arrayPush),
	"pop":      method(arrayPop),
	"concat":   method(arrayConcat),
	"slice":    method(arraySlice),
	"join":     method(arrayJoin),
	"toString": method(func(g *guest, a *array, _ []value) (value, error) { return arrayJoin(g, a, nil) }),
}

// method checks what a method is called on.
func method[T any](body func(g *guest, this T, args []value) (value, error)) callable {
	return func(g *guest, this value, args []value) (value, error) {
		if o, ok := this.(*object); ok {
			if slot, ok := o.slot.(T); ok {
				return body(g, slot, args)
			}
		}
		return nil, g.typeError("Method called on incompatible receiver of type " + typeOf(this))
	}
}

func arrayPush(g *guest, a *array, args []value) (value, error) {
	if err := g.charge(valueSize * int64(len(args))); err != nil {
		return nil, err
	}
	a.elements = append(a.elements, args...)
	return float64(len(a.elements)), nil
}

func arrayPop(_ *guest, a *array, _ []value) (value, error) {
	if len(a.elements) == 0 {
		return nil, nil
	}
	last := len(a.elements) - 1
	v := a.elements[last]
	a.elements[last] = nil
	a.elements = a.elements[:last]
	return v, nil
}

func arrayConcat(g *guest, a *array, args []value) (value, error) {
	size := int64(len(a.elements) + len(args))
	for _, arg := range args {
		if other, ok := slotOf[*array](arg); ok {
			size += int64(len(other.elements))
		}
	}
	if err := g.charge(valueSize * size); err != nil {
		return nil, err
	}
	elements := append(make([]value, 0, size), a.elements...)
	for _, arg := range args {
		if other, ok := slotOf[*array](arg); ok {
			elements = append(elements, other.elements...)
		} else {
			elements = append(elements, arg)
		}
	}
	return g.newArray(elements)
}

func arraySlice(g *guest, a *array, args []value) (value, error) {
	from, to := span(args, len(a.elements))
	if err := g.charge(valueSize * int64(to-from)); err != nil {
		return nil, err
	}
	return g.newArray(slices.Clone(a.elements[from:to]))
}

// span is the part of something of a length that begin and end mean, each optional and negative from the end.
func span(args []value, length int) (from, to int) {
	bound := func(i int, without int64) int {
		at := without
		if argument(args, i) != nil {
			at = toInteger(args[i])
		}
		if at < 0 {
			at = max(at, -int64(length)) + int64(length)
		}
		return int(min(at, int64(length)))
	}
	from = bound(0, 0)
	return from, max(from, bound(1, int64(length)))
}

// maxString bounds the strings under construction; arrays that hold each other could make longer ones than fit anywhere.
const maxString = 1 << 26

func arrayJoin(g *guest, a *array, args []value) (value, error) {
	separator := ","
	if v := argument(args, 0); v != nil {
		var err error
		if separator, err = g.toString(v); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	defer func() { g.building -= b.Len() }()
	for i, v := range a.elements {
		part := ""
		if v != nil && v != (null{}) {
			var err error
			if part, err = g.toString(v); err != nil {
				return nil, err
			}
		}
		if i > 0 {
			part = separator + part
		}
		if g.building += len(part); g.building > maxString {
			g.building -= len(part)
			return nil, g.newError("RangeError", "Invalid string length")
		}
		b.WriteString(part)
	}
	return b.String(), g.charge(int64(b.Len()))
}

// argument is an argument, undefined if it was not given.
func argument(args []value, i int) value {
	if i < len(args) {
		return args[i]
	}
	return nil
}

func slotOf[T any](v value) (slot T, ok bool) {
	if o, isObject := v.(*object); isObject {
		slot, ok = o.slot.(T)
	}
	return slot, ok
}
