package gojs

import (
	"math"
	"slices"
	"strconv"
)

// object is a JavaScript object: properties, those of its prototype, and what its constructor keeps in it.
type object struct {
	prototype  *object
	properties properties
	// slot is nil, or *function, *array, *byteArray or date.
	slot any
	// name says what it is, for messages; only objects of the host have one.
	name string
	// seen is the look of the budget that has counted the object.
	seen uint32
}

// function is the slot of a function.
type function struct {
	call callable
	// construct is what new does; nil for functions that are no constructors.
	construct callable
	// bound are the values that call uses besides its arguments.
	bound []value
}

// callable is the body of a function. An *exception is thrown in the guest, any other error ends it.
type callable func(g *guest, this value, args []value) (value, error)

// properties are kept in the order in which they were made. Few are searched through, many are indexed.
type properties struct {
	list  []property
	index map[string]int
}

type property struct {
	key   string
	value value
}

// searchable is how many properties are faster found without an index.
const searchable = 16

func (p *properties) find(key string) int {
	if p.index != nil {
		if at, ok := p.index[key]; ok {
			return at
		}
		return -1
	}
	return slices.IndexFunc(p.list, func(p property) bool { return p.key == key })
}

// set reports whether the property is a new one.
func (p *properties) set(key string, v value) bool {
	if at := p.find(key); at >= 0 {
		p.list[at].value = v
		return false
	}
	p.list = append(p.list, property{key, v})
	switch {
	case p.index != nil:
		p.index[key] = len(p.list) - 1
	case len(p.list) > searchable:
		p.reindex()
	}
	return true
}

func (p *properties) delete(key string) {
	at := p.find(key)
	if at < 0 {
		return
	}
	p.list = slices.Delete(p.list, at, at+1)
	if p.index != nil {
		p.reindex()
	}
}

func (p *properties) reindex() {
	p.index = make(map[string]int, len(p.list))
	for i := range p.list {
		p.index[p.list[i].key] = i
	}
}

// lookup finds a property of the object or of its prototypes.
func (o *object) lookup(key string) (value, bool) {
	if v, ok := o.element(key); ok {
		return v, true
	}
	for ; o != nil; o = o.prototype {
		if at := o.properties.find(key); at >= 0 {
			return o.properties.list[at].value, true
		}
	}
	return nil, false
}

// element finds what is no property in its own right: the length and the elements of arrays.
func (o *object) element(key string) (value, bool) {
	switch slot := o.slot.(type) {
	case *array:
		if key == "length" {
			return float64(len(slot.elements)), true
		}
	case *byteArray:
		if key == "length" || key == "byteLength" {
			return float64(len(slot.data)), true
		}
	default:
		return nil, false
	}
	if i, ok := arrayIndex(key); ok {
		return o.at(i)
	}
	return nil, false
}

// arrayIndex is the number that a key stands for.
func arrayIndex(key string) (int64, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' {
		return 0, false
	}
	i, err := strconv.ParseInt(key, 10, 64)
	return i, err == nil && i < math.MaxUint32
}

func (o *object) get(key string) value {
	v, _ := o.lookup(key)
	return v
}

// at is an element of an array.
func (o *object) at(i int64) (value, bool) {
	switch slot := o.slot.(type) {
	case *array:
		if i >= 0 && i < int64(len(slot.elements)) {
			return slot.elements[i], true
		}
	case *byteArray:
		if i >= 0 && i < int64(len(slot.data)) {
			return float64(slot.data[i]), true
		}
	}
	return nil, false
}

// isElement says that the index is one of an array rather than the name of a property.
func (o *object) isElement(i int64) bool {
	switch o.slot.(type) {
	case *array, *byteArray:
		return i >= 0
	}
	return false
}

// getIndex is the property of a number.
func (o *object) getIndex(i int64) value {
	if o.isElement(i) {
		v, _ := o.at(i)
		return v
	}
	return o.get(strconv.FormatInt(i, 10))
}

// set sets a property of the object.
func (g *guest) set(o *object, key string, v value) error {
	switch o.slot.(type) {
	case *array, *byteArray:
		if key == "length" {
			return g.setLength(o, v)
		}
		if i, ok := arrayIndex(key); ok {
			return g.setIndex(o, i, v)
		}
	}
	if o.properties.set(key, v) {
		return g.charge(propertySize + int64(len(key)))
	}
	return nil
}

// setIndex sets the property of a number.
func (g *guest) setIndex(o *object, i int64, v value) error {
	if !o.isElement(i) {
		return g.set(o, strconv.FormatInt(i, 10), v)
	}
	switch slot := o.slot.(type) {
	case *array:
		if missing := i + 1 - int64(len(slot.elements)); missing > 0 {
			if err := g.extend(slot, missing); err != nil {
				return err
			}
		}
		slot.elements[i] = v
	case *byteArray:
		if i < int64(len(slot.data)) {
			slot.data[i] = slot.toByte(v)
		}
	}
	return nil
}

// newObject makes an object of no particular kind.
func (g *guest) newObject() (*object, error) {
	return g.make(&object{prototype: g.prototypes.object})
}

// make counts a new object.
func (g *guest) make(o *object) (*object, error) {
	return o, g.charge(objectSize)
}

// callMethod calls a method of a value.
func (g *guest) callMethod(this value, name string, args ...value) (value, error) {
	o, ok := this.(*object)
	if !ok {
		return nil, g.typeError("Cannot read properties of " + typeOf(this) + " (reading '" + name + "')")
	}
	method, found := o.lookup(name)
	if !found {
		g.miss(o, name)
	}
	f, ok := functionOf(method)
	if !ok {
		return nil, g.typeError(o.nameOf(name) + " is not a function")
	}
	return g.call(f.call, this, args)
}

func functionOf(v value) (*function, bool) {
	o, ok := v.(*object)
	if !ok {
		return nil, false
	}
	f, ok := o.slot.(*function)
	return f, ok
}

// maxDepth bounds how deep functions of the host call each other.
const maxDepth = 500

// call calls the body of a function.
func (g *guest) call(body callable, this value, args []value) (value, error) {
	if g.depth >= maxDepth {
		return nil, g.newError("RangeError", "Maximum call stack size exceeded")
	}
	if g.hostCalls++; g.hostCalls%1024 == 0 { // arrays that hold each other take long to be made a string
		if err := g.interrupted(); err != nil {
			return nil, err
		}
	}
	g.depth++
	defer func() { g.depth-- }()
	return body(g, this, args)
}

// nameOf names a property, for messages.
func (o *object) nameOf(key string) string {
	if o.name == "" {
		return key
	}
	return o.name + "." + key
}
