// Names that the linker knows in another form: namespaces, templates, operators.

namespace shapes {

template <typename T> struct Box {
	T side;
	__attribute__((noinline)) T operator/(T by) const;
};

template <typename T> T Box<T>::operator/(T by) const {
	return side / by;
}

__attribute__((noinline)) static int area(const Box<int> &box, int by) {
	return box / by * 3;
}

} // namespace shapes

extern "C" __attribute__((export_name("run"))) int run(int by) {
	shapes::Box<int> box{6};
	return shapes::area(box, by) + 1;
}
