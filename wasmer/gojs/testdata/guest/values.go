//go:build js && wasm

package main

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"syscall/js"
	"time"
)

func init() {
	for name, program := range map[string]func(){
		"values": values, "objects": objects, "arrays": arrays, "bytes": byteArrays, "functions": functions,
		"callbacks": callbacks, "errors": jsErrors, "constructors": constructors, "collected": collected,
	} {
		programs[name] = func([]string) { program(); fmt.Println("ok") }
	}
	programs["console"] = func([]string) {
		console := js.Global().Get("console")
		console.Call("log", "a", 1.5, true, nil, js.Undefined(), []any{1, "x", []any{2}}, map[string]any{})
		console.Call("error", math.NaN(), math.Inf(-1), 1e21, 1e-7, -0.000001, 123456789012345680000.0)
	}
	programs["document"] = func([]string) { js.Global().Get("document").Call("getElementById", "x") }
	programs["alert"] = func([]string) { js.Global().Call("alert", "x") }
	programs["window"] = func([]string) { js.Global().Get("window").Get("location") }
	programs["caught"] = func([]string) {
		defer func() { fmt.Println(recover()) }()
		js.Global().Call("alert", "x")
	}
	programs["hoard"] = func(args []string) { hoard(args[0]) }
	programs["released"] = func([]string) {
		f := js.FuncOf(func(js.Value, []js.Value) any { return nil })
		f.Release()
		f.Invoke()
	}
}

var global = js.Global()

func values() {
	for _, n := range []float64{0, 1, -1, 0.5, 1 << 53, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		global.Set("n", n)
		expect(global.Get("n").Float() == n && global.Get("n").Type() == js.TypeNumber, "number %v", n)
	}
	global.Set("n", math.NaN())
	expect(global.Get("n").IsNaN() && !global.Get("n").Equal(global.Get("n")), "NaN")
	for _, s := range []string{"", "abc", "abc\u1234", strings.Repeat("ü", 1<<16), "a\x00b"} {
		global.Set("s", s)
		expect(global.Get("s").String() == s, "string of %d bytes", len(s))
		expect(global.Get("s").Equal(global.Get("s")), "strings are equal to themselves")
		expect(global.Get("s").Truthy() == (s != ""), "the empty string is not true")
	}
	expect(js.ValueOf("\xff").String() == "\ufffd", "what is no UTF-8")
	global.Set("b", true)
	expect(global.Get("b").Bool() && global.Get("b").Type() == js.TypeBoolean, "true")
	global.Set("u", js.Undefined())
	expect(global.Get("u").IsUndefined() && global.Get("never set").IsUndefined(), "undefined")
	global.Set("null", nil)
	expect(global.Get("null").IsNull(), "null")
	expect(js.ValueOf(42.5).String() == "<number: 42.5>", "%s", js.ValueOf(42.5).String())
	symbol := global.Call("Symbol", "test")
	expect(symbol.Type() == js.TypeSymbol && symbol.String() == "<symbol>" && symbol.Equal(symbol), "symbol")
	expect(!symbol.Equal(global.Call("Symbol", "test")), "each symbol is another one")
}

func objects() {
	o := global.Get("Object").New()
	for i := range 100 {
		o.Set(fmt.Sprint("key", i), i)
	}
	o.Delete("key50")
	keys := global.Get("Object").Call("keys", o)
	expect(keys.Length() == 99 && keys.Index(50).String() == "key51", "keys")
	expect(o.Get("key50").IsUndefined() && o.Get("key99").Int() == 99, "after deletion")
	expect(!o.Call("hasOwnProperty", "key50").Bool() && o.Call("hasOwnProperty", "key51").Bool(), "hasOwnProperty")
	o.SetIndex(7, "seven")
	expect(o.Get("7").String() == "seven" && o.Index(7).String() == "seven", "numbers as keys")
	nested := js.ValueOf(map[string]any{"x": map[string]any{"y": 42}})
	expect(nested.Get("x").Get("y").Int() == 42, "nested")
	expect(o.Call("toString").String() == "[object Object]", "toString")
	expect(o.InstanceOf(global.Get("Object")) && !o.InstanceOf(global.Get("Array")), "instanceof")
	expect(global.Get("globalThis").Equal(global), "globalThis")
}

func arrays() {
	a := js.ValueOf([]any{0, []any{0, 42, 0}, 0})
	expect(a.Length() == 3 && a.Index(1).Index(1).Int() == 42, "nested")
	a.SetIndex(5, "x")
	expect(a.Length() == 6 && a.Index(4).IsUndefined() && a.Index(9).IsUndefined() && a.Index(-1).IsUndefined(), "extended")
	a.Set("length", 1)
	expect(a.Length() == 1 && a.Call("push", 7, 8).Int() == 3 && a.Call("pop").Int() == 8, "push and pop")
	expect(a.Call("concat", []any{1, 2}, 3).Call("join", "-").String() == "0-7-1-2-3", "concat and join")
	expect(a.Call("concat", []any{1, 2}).Call("slice", -2, 10).Call("toString").String() == "1,2", "slice")
	expect(global.Get("Array").New(42).Length() == 42 && global.Get("Array").New(1, 2).Length() == 2, "constructor")
	expect(a.InstanceOf(global.Get("Array")) && !a.InstanceOf(global.Get("Function")), "instanceof")
	expect(global.Get("Array").Call("isArray", a).Bool() && !global.Get("Array").Call("isArray", 1).Bool(), "isArray")
	a.SetIndex(0, a)
	expect(strings.Contains(thrown(func() { a.Call("join") }), "call stack"), "an array that holds itself")
}

func byteArrays() {
	for _, kind := range []string{"Uint8Array", "Uint8ClampedArray"} {
		b := global.Get(kind).New(5)
		expect(js.CopyBytesToJS(b, []byte("abc")) == 3 && b.Length() == 5 && b.Index(1).Int() == 'b', "to JavaScript")
		got := make([]byte, 10)
		expect(js.CopyBytesToGo(got, b) == 5 && string(got[:5]) == "abc\x00\x00", "to Go")
		expect(js.CopyBytesToGo(got[:2], b) == 2, "fewer")
		part := b.Call("subarray", 1, 3)
		part.SetIndex(0, 300)
		expect(b.Index(1).Int() == map[string]int{"Uint8Array": 44, "Uint8ClampedArray": 255}[kind], "a part is no copy")
		copied := b.Call("slice", 1)
		copied.SetIndex(0, 0)
		expect(b.Index(1).Int() != 0 && copied.Length() == 4, "a slice is a copy")
		b.Call("set", part, 3)
		expect(b.Index(3).Equal(b.Index(1)), "set")
		b.SetIndex(100, 1)
		expect(b.Length() == 5 && b.Index(100).IsUndefined(), "beyond the end")
		expect(b.InstanceOf(global.Get(kind)) && part.InstanceOf(global.Get(kind)), "instanceof")
	}
	from := global.Get("Uint8Array").New([]any{1, 2, 258})
	expect(from.Length() == 3 && from.Index(2).Int() == 2, "of an array")
	expect(global.Get("Uint8Array").New(from).Index(1).Int() == 2, "of another one")
	global.Get("crypto").Call("getRandomValues", from)
	large := bytes.Repeat([]byte("x"), 1<<22)
	b := global.Get("Uint8Array").New(len(large))
	expect(js.CopyBytesToJS(b, large) == len(large), "a large one")
	for what, err := range map[string]string{
		"copy":     thrown(func() { js.CopyBytesToGo(large, global) }),
		"negative": thrown(func() { global.Get("Uint8Array").New(-1) }),
		"call":     thrown(func() { global.Call("Uint8Array", 1) }),
		"set":      thrown(func() { from.Call("set", b) }),
	} {
		expect(err != "", "%s throws", what)
	}
}

func functions() {
	add := js.FuncOf(func(this js.Value, args []js.Value) any {
		sum := 0
		for _, arg := range args {
			sum += arg.Int()
		}
		if this.Type() == js.TypeObject {
			sum += this.Get("base").Int()
		}
		return sum
	})
	defer add.Release()
	expect(add.Invoke(1, 2).Int() == 3, "invoke")
	o := js.ValueOf(map[string]any{"base": 100, "add": add})
	expect(o.Call("add", 1).Int() == 101, "call with this")
	expect(add.Call("call", o, 1, 2).Int() == 103, "Function.prototype.call")
	expect(add.Call("apply", o, []any{3, 4}).Int() == 107, "Function.prototype.apply")
	expect(add.Call("bind", o, 10).Invoke(1).Int() == 111, "Function.prototype.bind")
	args := make([]any, 40)
	for i := range args {
		args[i] = 1
	}
	expect(add.Invoke(args...).Int() == 40, "many arguments")

	// Functions that call each other, with stacks that grow in between.
	var fib js.Func
	fib = js.FuncOf(func(_ js.Value, args []js.Value) any {
		n := args[0].Int()
		deepen(n * 100)
		if n < 2 {
			return n
		}
		return fib.Invoke(n-1).Int() + fib.Invoke(n-2).Int()
	})
	defer fib.Release()
	expect(fib.Invoke(12).Int() == 144, "recursion through JavaScript")
	ident := js.FuncOf(func(_ js.Value, args []js.Value) any { return args[0] })
	expect(ident.Invoke(global).Equal(global) && ident.Invoke("s").String() == "s", "what goes in comes out")
	expect(ident.Value.Equal(ident.Value) && ident.Type() == js.TypeFunction, "functions")
}

func deepen(n int) int {
	var space [64]byte
	if n > 0 {
		return deepen(n-1) + int(space[n%64])
	}
	return 0
}

func callbacks() {
	order := make(chan string, 10)
	note := func(s string) js.Func {
		return js.FuncOf(func(_ js.Value, args []js.Value) any {
			order <- fmt.Sprint(s, len(args))
			return nil
		})
	}
	global.Call("setTimeout", note("late"), 20, 1, 2)
	global.Call("setTimeout", note("early"), 5)
	never := global.Call("setTimeout", note("never"), 10)
	global.Call("clearTimeout", never)
	global.Call("queueMicrotask", note("now"))
	got := []string{<-order, <-order, <-order}
	expect(fmt.Sprint(got) == "[now0 early0 late2]", "%v", got)

	// A callback may block while others run, as long as something wakes it up.
	first, second := make(chan bool), make(chan bool)
	global.Call("setTimeout", js.FuncOf(func(js.Value, []js.Value) any {
		first <- true
		<-second
		return nil
	}), 0)
	<-first
	second <- true
	expect(js.FuncOf(func(js.Value, []js.Value) any { return 7 }).Invoke().Int() == 7, "interleaved")
	time.Sleep(time.Millisecond)
}

// thrown is what a function panics with.
func thrown(f func()) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func jsErrors() {
	for want, f := range map[string]func(){
		"syscall/js: call of Value.Get on number":                                   func() { js.ValueOf(1).Get("x") },
		"syscall/js: call of Value.Call on number":                                  func() { js.ValueOf(1).Call("x") },
		"syscall/js: call of Value.Invoke on object":                                func() { global.Invoke() },
		"syscall/js: Value.Call: property nothing is not a function, got undefined": func() { global.Call("nothing") },
		"JavaScript error: Invalid array length":                                    func() { global.Get("Array").New(-1) },
		"JavaScript error: the host does not run JavaScript code":                   func() { global.Get("Function").New("1") },
		"JavaScript error: setTimeout: the first argument must be a function":       func() { global.Call("setTimeout", 1) },
		"JavaScript error: fs.open: the last argument must be a function":           func() { global.Get("fs").Call("open", "x") },
		"JavaScript error: fs.read: the offset and length lie outside of the array": func() { read(1, 5) },
		"JavaScript error: fs.read: argument 2 must be an integer":                  func() { read("x", 5) },
		"JavaScript error: ENOENT: chdir":                                           func() { global.Get("process").Call("chdir", "/nowhere") },
	} {
		got := thrown(f)
		expect(got == want, "got %q, want %q", got, want)
	}
	e := global.Get("TypeError").New("message")
	expect(e.InstanceOf(global.Get("Error")) && e.Call("toString").String() == "TypeError: message", "errors")
}

// read reads five bytes.
func read(offset, length any) {
	f := js.FuncOf(func(js.Value, []js.Value) any { return nil })
	global.Get("fs").Call("read", 0, global.Get("Uint8Array").New(5), offset, length, nil, f)
}

func constructors() {
	date := global.Get("Date").New(1_000_000_000_123)
	expect(date.Call("toISOString").String() == "2001-09-09T01:46:40.123Z", "%s", date.Call("toISOString"))
	expect(date.Call("getTime").Int() == 1_000_000_000_123, "getTime")
	since := time.Since(time.UnixMilli(int64(global.Get("Date").Call("now").Float())))
	expect(since > -time.Minute && since < time.Minute, "Date.now")
	expect(global.Get("performance").Call("now").Float() > 0, "performance.now")
	expect(global.Get("path").Call("resolve", "/a", "b/../c", "").String() == "/a/c", "path.resolve")
}

// collected makes much more garbage than the host has room for at once, but collects it.
func collected() {
	for range 100 {
		global.Get("Uint8Array").New(64 << 20)
		runtime.GC()
	}
}

// hoard takes of the host's memory what it can get.
func hoard(what string) {
	var kept []js.Value
	keep := global.Get("Array").New()
	text := strings.Repeat("x", 1<<20)
	for i := 0; ; i++ {
		switch what {
		case "bytes":
			kept = append(kept, global.Get("Uint8Array").New(64<<20))
		case "one":
			kept = append(kept, global.Get("Uint8Array").New(1<<32-1))
		case "strings":
			keep.Call("push", text+fmt.Sprint(i))
		case "objects":
			kept = append(kept, global.Get("Object").New())
		case "properties":
			keep.Set(text+fmt.Sprint(i), i)
		case "arrays":
			kept = append(kept, global.Get("Array").New(1<<24))
		case "sparse":
			keep.SetIndex(1<<31, 1)
		case "concat":
			keep.Call("push", 1)
			keep = keep.Call("concat", keep)
		case "join":
			keep = js.ValueOf([]any{keep, keep})
			keep.Call("join")
		case "parts":
			kept = append(kept, global.Get("Uint8Array").New(64<<20).Call("subarray", 0, 1))
		case "timers":
			global.Call("setTimeout", js.FuncOf(func(js.Value, []js.Value) any { return nil }), 1000)
		case "bound":
			f := global.Get("setTimeout")
			for range 1000 {
				f = f.Call("bind", nil)
			}
			f.Invoke()
		}
	}
}
