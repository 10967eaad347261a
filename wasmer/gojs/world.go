package gojs

// prototypes are those of the kinds of objects that the host makes.
type prototypes struct {
	object, function, array, bytes, clamped, error, date, stat *object
	errors                                                     map[string]*object
}

// world makes the objects of the host, which cost the guest nothing.
type world struct{ p *prototypes }

// newWorld makes the global object, the one that stands for wasm_exec.js, and the prototypes.
func (g *guest) newWorld() *object {
	w := world{&g.prototypes}
	w.p.object = &object{}
	w.p.function = w.plain()
	w.p.array, w.p.bytes, w.p.clamped, w.p.date, w.p.stat = w.plain(), w.plain(), w.plain(), w.plain(), w.plain()
	w.methods(w.p.object, map[string]callable{
		"toString":       func(_ *guest, this value, _ []value) (value, error) { return objectString(this), nil },
		"hasOwnProperty": hasOwnProperty,
	})
	w.methods(w.p.function, functionMethods)
	w.methods(w.p.array, arrayMethods)
	w.methods(w.p.bytes, bytesMethods)
	w.methods(w.p.clamped, bytesMethods)
	w.methods(w.p.date, dateMethods)
	w.methods(w.p.stat, statMethods)

	global := w.object("globalThis", map[string]callable{
		"setTimeout": setTimeout, "clearTimeout": clearTimeout, "queueMicrotask": queueMicrotask,
	})
	w.constructors(global)
	for name, o := range map[string]*object{
		"process": w.newProcess(), "fs": w.newFS(), "console": w.object("console", consoleMethods),
		"path":        w.object("path", map[string]callable{"resolve": pathResolve}),
		"crypto":      w.object("crypto", map[string]callable{"getRandomValues": getRandomValues}),
		"performance": w.object("performance", map[string]callable{"now": performanceNow}),
		"globalThis":  global,
	} {
		global.properties.set(name, o)
	}
	g.goObject = w.object("go", map[string]callable{"_makeFuncWrapper": makeFuncWrapper})
	g.goObject.properties.set("_pendingEvent", null{})
	return global
}

func (w *world) plain() *object { return &object{prototype: w.p.object} }

// object makes an object with a name and methods.
func (w *world) object(name string, methods map[string]callable) *object {
	o := w.plain()
	o.name = name
	w.methods(o, methods)
	return o
}

func (w *world) methods(o *object, methods map[string]callable) {
	for name, body := range methods {
		o.properties.set(name, w.function(&function{call: body}))
	}
}

func (w *world) function(f *function) *object {
	return &object{prototype: w.p.function, slot: f}
}

// constructor makes a function that can be called with new, of objects with a prototype.
func (w *world) constructor(global *object, name string, prototype *object, f *function) *object {
	o := w.function(f)
	o.name = name
	o.properties.set("prototype", prototype)
	prototype.properties.set("constructor", o)
	global.properties.set(name, o)
	return o
}

func (w *world) constructors(global *object) {
	both := func(body callable) *function { return &function{call: body, construct: body} }
	objects := w.constructor(global, "Object", w.p.object, both(constructObject))
	w.methods(objects, map[string]callable{"keys": objectKeys})
	w.constructor(global, "Function", w.p.function, both(refuseCode))
	arrays := w.constructor(global, "Array", w.p.array, both(constructArray))
	w.methods(arrays, map[string]callable{
		"isArray": func(_ *guest, _ value, args []value) (value, error) {
			_, ok := slotOf[*array](argument(args, 0))
			return ok, nil
		},
	})
	w.constructor(global, "Uint8Array", w.p.bytes, &function{
		call: needsNew("Uint8Array"), construct: constructBytes(w.p.bytes, false),
	})
	w.constructor(global, "Uint8ClampedArray", w.p.clamped, &function{
		call: needsNew("Uint8ClampedArray"), construct: constructBytes(w.p.clamped, true),
	})
	w.constructor(global, "Symbol", w.plain(), &function{call: newSymbol})
	dates := w.constructor(global, "Date", w.p.date, &function{call: dateNow, construct: constructDate})
	w.methods(dates, map[string]callable{"now": dateNow})
	w.errors(global)
}

// errors makes the kinds of errors.
func (w *world) errors(global *object) {
	w.p.errors = map[string]*object{}
	for _, name := range []string{"Error", "TypeError", "RangeError"} {
		prototype := w.plain()
		if name == "Error" {
			w.p.error = prototype
			w.methods(prototype, map[string]callable{"toString": errorString})
		} else {
			prototype.prototype = w.p.error
		}
		prototype.properties.set("name", name)
		prototype.properties.set("message", "")
		w.p.errors[name] = prototype
		body := constructError(prototype)
		w.constructor(global, name, prototype, &function{call: body, construct: body})
	}
}

func (w *world) newFS() *object {
	methods := map[string]callable{"read": fsRead, "write": fsWrite}
	for name, function := range fsFunctions {
		methods[name] = function.callable(name)
	}
	o := w.object("fs", methods)
	constants := w.object("fs.constants", nil)
	for name, v := range fsConstants {
		constants.properties.set(name, v)
	}
	o.properties.set("constants", constants)
	return o
}

// makeFuncWrapper makes a function of a js.Func. A call of it resumes the guest, which looks for the event.
func makeFuncWrapper(g *guest, _ value, args []value) (value, error) {
	id := argument(args, 0)
	return g.make(&object{prototype: g.prototypes.function, slot: &function{
		call: func(g *guest, this value, args []value) (value, error) { return g.callGo(id, this, args) },
	}})
}

// callGo has the guest call one of its functions.
func (g *guest) callGo(id, this value, args []value) (value, error) {
	list, err := g.newArray(args)
	if err != nil {
		return nil, err
	}
	event, err := g.newObject()
	if err != nil {
		return nil, err
	}
	event.properties.list = append(make([]property, 0, 4),
		property{"id", id}, property{"this", this}, property{"args", list})
	if err := g.resumeWith(event); err != nil {
		return nil, err
	}
	result, handled := event.lookup("result")
	if handled { // nobody else knows these two, which the guest only collects in time
		g.references.evict(event)
		g.references.evict(list)
	}
	return result, nil
}

// typeError is an exception.
func (g *guest) typeError(message string) error { return g.newError("TypeError", message) }

func (g *guest) newError(kind, message string) error {
	o, err := g.make(&object{prototype: g.prototypes.errors[kind]})
	if err != nil {
		return err
	}
	if err := g.set(o, "message", shortened(message)); err != nil {
		return err
	}
	return &exception{o}
}

// shortened keeps names that guests make up from growing messages.
func shortened(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return wellFormed(s[:most]) + "..."
}

// instanceOf finds the constructor's prototype among those of a value.
func instanceOf(v value, constructor *object) bool {
	prototype, _ := constructor.get("prototype").(*object)
	o, ok := v.(*object)
	if !ok || prototype == nil {
		return false
	}
	for o = o.prototype; o != nil; o = o.prototype {
		if o == prototype {
			return true
		}
	}
	return false
}

func performanceNow(g *guest, _ value, _ []value) (value, error) {
	return float64(g.clock.monotonic().Microseconds()) / 1000, nil
}
