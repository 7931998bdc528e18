namespace TransferQueue.Columns;

/// <summary>A column without its bytes: the field's name and the layout of its rows.</summary>
/// <param name="Name">The field's name.</param>
/// <param name="Layout">How the rows lie.</param>
public readonly record struct ColumnDescriptor(string Name, ColumnLayout Layout);
