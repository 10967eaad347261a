package gojs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func constructObject(g *guest, _ value, _ []value) (value, error) { return g.newObject() }

func objectString(this value) string {
	switch v := this.(type) {
	case nil:
		return "[object Undefined]"
	case *object:
		switch v.slot.(type) {
		case *function:
			return "[object Function]"
		case *array:
			return "[object Array]"
		case *byteArray:
			return "[object Uint8Array]"
		}
	}
	return "[object Object]"
}

func hasOwnProperty(g *guest, this value, args []value) (value, error) {
	key, err := g.toString(argument(args, 0))
	if err != nil {
		return nil, err
	}
	o, ok := this.(*object)
	if !ok {
		return false, nil
	}
	_, isElement := o.element(key)
	return isElement || o.properties.find(key) >= 0, nil
}

func objectKeys(g *guest, _ value, args []value) (value, error) {
	o, ok := argument(args, 0).(*object)
	if !ok {
		return nil, g.typeError("Object.keys called on non-object")
	}
	if a, ok := o.slot.(*array); ok {
		return indexKeys(g, len(a.elements))
	}
	if b, ok := o.slot.(*byteArray); ok {
		return indexKeys(g, len(b.data))
	}
	if err := g.charge(valueSize * int64(len(o.properties.list))); err != nil {
		return nil, err
	}
	keys := make([]value, len(o.properties.list))
	for i := range keys {
		keys[i] = o.properties.list[i].key
	}
	return g.newArray(keys)
}

func indexKeys(g *guest, n int) (value, error) {
	const digits = 16
	if err := g.charge((valueSize + digits) * int64(n)); err != nil {
		return nil, err
	}
	keys := make([]value, n)
	for i := range keys {
		keys[i] = formatNumber(float64(i))
	}
	return g.newArray(keys)
}

// functionMethods are those of all functions.
var functionMethods = map[string]callable{
	"toString": func(*guest, value, []value) (value, error) { return "function () { [native code] }", nil },
	"call": method(func(g *guest, f *function, args []value) (value, error) {
		return g.call(f.call, argument(args, 0), args[min(1, len(args)):])
	}),
	"apply": method(func(g *guest, f *function, args []value) (value, error) {
		var list []value
		if a, ok := slotOf[*array](argument(args, 1)); ok {
			list = slices.Clone(a.elements)
		}
		return g.call(f.call, argument(args, 0), list)
	}),
	"bind": method(func(g *guest, f *function, args []value) (value, error) {
		this, first := argument(args, 0), args[min(1, len(args)):]
		if err := g.charge(objectSize + valueSize*int64(len(args))); err != nil {
			return nil, err
		}
		return &object{prototype: g.prototypes.function, slot: &function{
			call: func(g *guest, _ value, rest []value) (value, error) {
				return g.call(f.call, this, slices.Concat(first, rest))
			},
			bound: slices.Concat(args, f.bound),
		}}, nil
	}),
}

// refuseCode is what becomes of JavaScript code: there is nobody to run it.
func refuseCode(g *guest, _ value, _ []value) (value, error) {
	return nil, g.typeError("the host does not run JavaScript code")
}

func needsNew(name string) callable {
	return func(g *guest, _ value, _ []value) (value, error) {
		return nil, g.typeError("Constructor " + name + " requires 'new'")
	}
}

func newSymbol(g *guest, _ value, args []value) (value, error) {
	description, _ := argument(args, 0).(string)
	return &symbol{description}, g.charge(objectSize)
}

func constructError(prototype *object) callable {
	return func(g *guest, _ value, args []value) (value, error) {
		o, err := g.make(&object{prototype: prototype})
		if err != nil || argument(args, 0) == nil {
			return o, err
		}
		message, err := g.toString(args[0])
		if err != nil {
			return nil, err
		}
		return o, g.set(o, "message", message)
	}
}

func errorString(g *guest, this value, _ []value) (value, error) {
	o, ok := this.(*object)
	if !ok {
		return nil, g.typeError("Error.prototype.toString called on non-object")
	}
	name, _ := o.get("name").(string)
	message, _ := o.get("message").(string)
	return strings.TrimSuffix(name+": "+message, ": "), g.charge(int64(len(name) + len(message)))
}

// date is the slot of a Date.
type date struct{ time time.Time }

var dateMethods = map[string]callable{
	"getTime": method(func(_ *guest, d date, _ []value) (value, error) { return float64(d.time.UnixMilli()), nil }),
	"getTimezoneOffset": method(func(_ *guest, d date, _ []value) (value, error) {
		_, east := d.time.Zone()
		return float64(-east / 60), nil
	}),
	"toISOString": method(dateString),
	"toString":    method(dateString),
}

func dateString(_ *guest, d date, _ []value) (value, error) {
	return d.time.UTC().Format("2006-01-02T15:04:05.000Z"), nil
}

// constructDate is new Date: of now, or of milliseconds since 1970.
func constructDate(g *guest, _ value, args []value) (value, error) {
	now := g.clock.now()
	if len(args) > 0 {
		now = time.UnixMilli(toInteger(args[0])).In(now.Location())
	}
	return g.make(&object{prototype: g.prototypes.date, slot: date{now}})
}

func dateNow(g *guest, _ value, _ []value) (value, error) {
	return float64(g.clock.now().UnixMilli()), nil
}

// getRandomValues fills up to 65536 bytes.
func getRandomValues(g *guest, _ value, args []value) (value, error) {
	const most = 65536
	b, ok := slotOf[*byteArray](argument(args, 0))
	if !ok || len(b.data) > most {
		return nil, g.typeError(fmt.Sprintf("crypto.getRandomValues: want a Uint8Array of up to %d bytes", most))
	}
	return args[0], g.random(b.data)
}

// setTimeout takes a function, a delay in milliseconds, and the function's arguments.
func setTimeout(g *guest, _ value, args []value) (value, error) {
	function := argument(args, 0)
	if typeOf(function) != "function" {
		return nil, g.typeError("setTimeout: the first argument must be a function")
	}
	delay, _ := argument(args, 1).(float64)
	id, err := g.addTimer(milliseconds(delay), function, slices.Clone(args[min(2, len(args)):]))
	return float64(id), err
}

func clearTimeout(g *guest, _ value, args []value) (value, error) {
	g.timers.clear(int32(toUint32(argument(args, 0))))
	return nil, nil
}

func queueMicrotask(g *guest, _ value, args []value) (value, error) {
	if typeOf(argument(args, 0)) != "function" {
		return nil, g.typeError("queueMicrotask: the argument must be a function")
	}
	return nil, g.post(args[0])
}

// consoleMethods write lines to the streams that Node writes them to.
var consoleMethods = map[string]callable{
	"log": consoleTo(stdout), "info": consoleTo(stdout), "debug": consoleTo(stdout),
	"warn": consoleTo(stderr), "error": consoleTo(stderr),
}

func stdout(h *Host) *output { return &h.stdout }
func stderr(h *Host) *output { return &h.stderr }

func consoleTo(stream func(*Host) *output) callable {
	return func(g *guest, _ value, args []value) (value, error) {
		parts := make([]string, len(args))
		length := 0
		for i, arg := range args {
			var err error
			if parts[i], err = g.toString(arg); err != nil {
				return nil, err
			}
			if length += len(parts[i]); length > maxString {
				return nil, g.newError("RangeError", "Invalid string length")
			}
		}
		return nil, g.writeThrough(stream(g.host), []byte(strings.Join(parts, " ")+"\n"))
	}
}
